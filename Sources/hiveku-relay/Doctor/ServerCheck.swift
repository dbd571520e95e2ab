import Diagnosis
import RelayCore
import Settings

/// Checks a PostgreSQL server, and the relay's database on it.
struct ServerCheck: DatabaseInspection {
    let place: PostgreSQLPlace
    let settings: RelaySettings
    let clock: any RelayClock

    func records() async -> (any RelayStore)? {
        guard case .answered(let found) = await examine(), found.schema == found.knownSchema else { return nil }
        return await within(Doctor.timeout) { () -> (any RelayStore)? in
            // The tables are up to date here, so opening the store creates and migrates nothing.
            await onOwnThread { try? openStore(settings, for: .command, now: clock.now()) }
        } ?? nil
    }

    func look() async -> [Finding] {
        let reach = ReachCheck(directory: settings.stateDirectory)
        let files = ["passfile", "sslkey", "sslcert", "sslrootcert"].compactMap { name in
            place.parameter(name).flatMap { reach?.look(.database, at: $0) }
        }
        return Judge.server(place, await examine(), replica: settings.databaseReplica)
            + ExposedFiles.database(.postgresql(place))
            + files + [Judge.serverDisk]
    }

    private func examine() async -> ServerObservation {
        let place = place
        let found = await within(Doctor.timeout) { () -> ServerObservation in
            await onOwnThread {
                do {
                    return .answered(try KnownStores.examineServer(place))
                } catch let error as StoreError {
                    return .failed(error)
                } catch {
                    return .failed(.unavailable("\(error)"))
                }
            }
        }
        return found ?? .failed(.unavailable("no answer within \(Doctor.timeout.components.seconds) seconds"))
    }
}
