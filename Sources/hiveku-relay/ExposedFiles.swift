import Diagnosis
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Files with secrets that the settings name, and that every user of the machine may read.
enum ExposedFiles {
    static func findings(_ settings: RelaySettings) -> [Finding] {
        settings.tls.privateKeys.filter(isReadableByAll).map { Judge.exposed(.certificate, "the private key", at: $0) }
            + credentials(settings.ses)
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
