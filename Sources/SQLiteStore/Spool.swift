import Dispatch
import Foundation
import RelayCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The directory of bodies that are too large for the database, one file each: `<database>.spool`.
final class Spool: Sendable {
    private let directory: String
    /// File operations may wait for the disk, so they run on threads that exist for that purpose.
    let queue = DispatchQueue(label: "hiveku-relay.spool", attributes: .concurrent)
    /// How often the directory could not be synced.
    private let failedSyncs = Atomic(0)

    init(beside path: String) throws {
        directory = path + ".spool"
        try OwnedFile.makeDirectory(directory)
    }

    /// Opens an existing spool for inspection. Creates nothing.
    init(alreadyBeside path: String) { directory = path + ".spool" }

    func path(_ name: String) -> String { directory + "/" + name }

    /// Runs `work`, which may block, on a thread of the spool.
    func perform<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(with: Result(catching: work).mapError { StoreError($0) as any Error })
            }
        }
    }

    func make(_ name: String) async throws -> FileSpoolFile {
        let path = path(name)
        let failuresBefore = failedSyncs.load(ordering: .acquiring)
        let descriptor = try await perform {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw systemError() }
            return descriptor
        }
        return FileSpoolFile(spool: self, name: name, descriptor: descriptor, failedSyncsBefore: failuresBefore)
    }

    func body(_ name: String, size: Int) async throws -> FileBody {
        let path = path(name)
        let descriptor = try await perform {
            // Only files that ``make(_:)`` made are bodies. A link or a pipe is not one, and a pipe would block the
            // thread.
            let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { throw systemError() }
            return descriptor
        }
        return FileBody(spool: self, descriptor: descriptor, size: size)
    }

    /// Syncs the names in the directory to disk. Throws if the sync fails, or if any sync of the directory has failed
    /// since `failuresBefore` was read.
    ///
    /// After a failed sync, the system treats unwritten data as written, and the next sync succeeds without that data.
    /// So after a sync has failed for any file, no name that existed then can be relied on.
    func syncDirectory(failuresBefore: Int) throws {
        do {
            try SQLiteStore.syncDirectory(directory)
        } catch {
            failedSyncs.add(1, ordering: .acquiringAndReleasing)
            throw error
        }
        guard failedSyncs.load(ordering: .acquiring) == failuresBefore else { throw POSIXError(.EIO) }
    }

    /// Deletes files that nothing refers to any more. A file that remains after a crash is deleted at the next start.
    func remove(_ names: [String]) {
        guard !names.isEmpty else { return }
        queue.async { [self] in removeNow(names) }
    }

    /// Like `remove(_:)`, but on the caller's thread.
    func removeNow(_ names: [String]) {
        for name in names { unlink(path(name)) }
    }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory) }
}

func systemError() -> POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }

/// A body that is being written. Its functions are called one after the other, as `SpoolFile` requires.
final class FileSpoolFile: SpoolFile {
    private let spool: Spool
    private let name: String
    private let file: Descriptor
    private let failedSyncsBefore: Int

    init(spool: Spool, name: String, descriptor: CInt, failedSyncsBefore: Int) {
        self.spool = spool
        self.name = name
        self.failedSyncsBefore = failedSyncsBefore
        file = Descriptor(descriptor)
    }

    func append(_ bytes: [UInt8]) async throws {
        let file = file
        try await spool.perform {
            try bytes.withUnsafeBytes { bytes in
                var written = 0
                while written < bytes.count {
                    let count = write(file.number, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { throw systemError() }
                    written += count
                }
            }
        }
    }

    func finish() async throws -> SpooledBody {
        let (file, spool, failedSyncsBefore) = (file, spool, failedSyncsBefore)
        let size = try await spool.perform {
            // The size is new too, so the file's metadata must be on disk as well as its data.
            guard fsync(file.number) == 0 else { throw systemError() }
            try spool.syncDirectory(failuresBefore: failedSyncsBefore)
            let size = lseek(file.number, 0, SEEK_END)
            guard size >= 0 else { throw systemError() }
            return Int(size)
        }
        return SpooledBody(name: name, size: size)
    }

    func discard() async { spool.remove([name]) }
}

/// A file descriptor that is closed with its last reference.
final class Descriptor: Sendable {
    let number: CInt
    init(_ number: CInt) { self.number = number }
    deinit { close(number) }
}

/// A body in the spool. It stays readable while it is open, even if its file is deleted.
final class FileBody: StoredBody {
    let size: Int
    private let spool: Spool
    private let file: Descriptor

    init(spool: Spool, descriptor: CInt, size: Int) {
        self.spool = spool
        self.size = size
        file = Descriptor(descriptor)
    }

    func read(at offset: Int, count: Int) async throws -> [UInt8] {
        let file = file
        let wanted = max(0, min(count, size - offset))
        return try await spool.perform {
            try [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
                while filled < wanted {
                    let count = pread(
                        file.number, buffer.baseAddress.map { $0 + filled }, wanted - filled, off_t(offset + filled))
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { throw count < 0 ? systemError() : POSIXError(.EIO) }
                    filled += count
                }
            }
        }
    }
}
