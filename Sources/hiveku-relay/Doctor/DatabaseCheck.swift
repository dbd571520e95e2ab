import Diagnosis
import Foundation
import RelayCore
import SQLiteStore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Checks the file of an SQLite database, and its content.
struct DatabaseCheck: DatabaseInspection {
    let path: String
    let storage: StoragePolicy

    func records() async -> (any RelayStore)? {
        let found = await within(Doctor.timeout) { await open() }
        guard case .opened(let schema, let known)? = found?.observation, schema == known else { return nil }
        return found?.store
    }

    func look() async -> [Finding] {
        let late = StoreError.unavailable("no answer within \(Doctor.timeout.components.seconds) seconds")
        // Look at permissions before the database is opened, because SQLite creates files beside it.
        let permissions = await within(Doctor.timeout) { await onOwnThread { self.permissions() } } ?? []
        let found = await within(Doctor.timeout) { await open() } ?? (nil, .failed(late))
        let disk = await within(Doctor.timeout) { await onOwnThread { self.disk() } }
        var findings = [Judge.database(path, found.observation)]
        if let store = found.store { findings.append(Judge.integrity(path, await integrity(of: store))) }
        return findings + permissions + (disk ?? [Judge.failed(.disk, "the file system does not answer")])
    }

    private func open() async -> (store: SQLiteStore?, observation: DatabaseObservation) {
        do {
            let store = try await onOwnThread { Result { try existing() } }.get()
            return (store, .opened(schema: try await store.schemaVersion(), known: SQLiteStore.knownSchemaVersion))
        } catch is Missing {
            return (nil, .missing)
        } catch let error as StoreError {
            return (nil, .failed(error))
        } catch {
            return (nil, .failed(.unavailable("\(error)")))
        }
    }

    private struct Missing: Error {}

    private func existing() throws -> SQLiteStore {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let isMissing = errno == ENOENT || errno == ENOTDIR
            throw isMissing ? Missing() : StoreError.unavailable(String(cString: strerror(errno)))
        }
        return try SQLiteStore(examining: path)
    }

    /// Checks the database's integrity. The store must serve only this check: when the time is up, everything that the
    /// store does is cancelled.
    private func integrity(of store: SQLiteStore) async -> IntegrityObservation {
        let observation = await within(Doctor.timeout) { () -> IntegrityObservation in
            do {
                return .checked(try await store.faults())
            } catch {
                return .failed("\(error)")
            }
        }
        return observation ?? .unfinished(Doctor.timeout)
    }

    // MARK: Files

    private var directory: String {
        let directory = (path as NSString).deletingLastPathComponent
        return directory.isEmpty ? "." : directory
    }

    private func permissions() -> [Finding] {
        guard let directory = FileStatus(of: directory) else { return [] }
        let names = ["", "-wal", "-shm", ".instances", ".spool"].map { path + $0 }
        let links = names.filter(isLink)
        let files = names.filter { !links.contains($0) }.compactMap { FileStatus(of: $0) }
        return Judge.permissions(directory: directory, files: files, links: links, user: userName(directory.owner))
    }

    private func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    private func userName(_ id: uid_t) -> String {
        guard let entry = getpwuid(id), let name = entry.pointee.pw_name else { return "\(id)" }
        return String(cString: name)
    }

    /// Checks the file system that the database is on, or will be on.
    private func disk() -> [Finding] {
        var place = directory
        var status = statvfs()
        while statvfs(place, &status) != 0 {
            let above = (place as NSString).deletingLastPathComponent
            guard !above.isEmpty, above != place else {
                return [Judge.failed(.disk, "\(place): \(String(cString: strerror(errno)))")]
            }
            place = above
        }
        let block = Int64(clamping: status.f_frsize)
        return [
            Judge.disk(
                place, free: Int64(clamping: status.f_bavail).multipliedReportingOverflow(by: block).partialValue,
                total: Int64(clamping: status.f_blocks).multipliedReportingOverflow(by: block).partialValue,
                storage: storage)
        ]
    }
}

extension FileStatus {
    /// Nil if there is no such file.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(path: path, owner: status.st_uid, group: status.st_gid, permissions: status.st_mode & 0o777)
    }
}
