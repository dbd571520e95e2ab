import Diagnosis
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds files with secrets that the settings name and that every user of the machine can read.
enum ExposedFiles {
    static func findings(_ settings: RelaySettings) -> [Finding] {
        settings.tls.privateKeys.filter(isReadableByAll).map { Judge.exposed(.certificate, "the private key", at: $0) }
            + credentials(settings.ses) + database(settings.database)
    }

    /// A finding about the settings file, if it holds the database's password and every user can read it.
    static func ownFile(_ settings: RelaySettings, _ file: String?, _ environment: [String: String]) -> [Finding] {
        guard case .postgresql(let place) = settings.database, place.hasPassword, let file,
            RelaySettings.isFromFile("database", environment), isReadableByAll(file)
        else { return [] }
        return [Judge.exposed(.database, "the password of the database in", at: file)]
    }

    /// Findings about the files that a database's URI names. libpq does not use a file with a secret if others can read
    /// it.
    static func database(_ database: DatabaseLocation) -> [Finding] {
        guard case .postgresql(let place) = database else { return [] }
        return ["passfile", "sslkey"].compactMap { name in
            guard let path = place.parameter(name), let status = FileStatus(of: path) else { return nil }
            return Judge.databaseSecret(name, status)
        }
    }

    static func credentials(_ settings: RelaySettings.SES) -> [Finding] {
        guard let file = settings.credentialsFile, isReadableByAll(file) else { return [] }
        return [Judge.exposed(.credentials, "the AWS credentials in", at: file)]
    }

    static func isReadableByAll(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }
}
