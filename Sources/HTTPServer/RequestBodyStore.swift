import HummingbirdCore
import NIOCore
import NIOPosix
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Receives the body of a request: a small one in memory, a large one through a file, so that many clients that slowly
/// send large bodies need little memory.
struct RequestBodyStore: Sendable {
    enum Failure: Error {
        /// The body is longer than allowed.
        case tooLarge
        /// A file for the body can't be created, written or read. The value is the system's error number.
        case storage(CInt)
        /// The disk has no space for the body, or its remaining space is reserved.
        case noSpace(Refusal)
    }

    /// The directory for files that are deleted while they are in use.
    let directory: String
    /// The largest number of octets of a body.
    let limit: Int
    let turns: LargeBodyTurns
    /// Why there is no space for this many octets; nil if there is. Returns at once.
    let refusalOfSpace: @Sendable (Int) -> Refusal?

    /// The largest number of octets of a body that are kept in memory.
    static let inlineLimit = 128 * 1024

    /// Reads the whole body, and passes it to `work`. Only a few large bodies are in memory at the same time.
    func with<Result>(
        _ body: RequestBody, expecting length: Int?, _ work: ([UInt8]) async -> Result
    ) async throws -> Result {
        var octets: [UInt8] = []
        octets.reserveCapacity(min(length ?? 4096, RequestBodyStore.inlineLimit))
        var file: ScratchFile?
        defer { file?.discard() }
        var total = 0
        for try await piece in body {
            total += piece.readableBytes
            guard total <= limit else { throw Failure.tooLarge }
            piece.withUnsafeReadableBytes { octets.append(contentsOf: $0) }
            guard octets.count >= RequestBodyStore.inlineLimit, total < length ?? .max else { continue }
            if let refusal = refusalOfSpace(total) { throw Failure.noSpace(refusal) }
            let target: ScratchFile
            if let file {
                target = file
            } else {
                target = try await ScratchFile.make(in: directory)
                file = target
            }
            try await target.append(octets)
            octets.removeAll(keepingCapacity: true)
        }
        guard let file else { return await work(octets) }
        let rest = octets
        octets = []
        await turns.take(total)
        let result: Result
        do {
            result = await work(try await file.read(total - rest.count, followedBy: rest))
        } catch {
            await turns.giveBack(total)
            throw error
        }
        await turns.giveBack(total)
        return result
    }
}

/// Limits how many octets of large bodies are in memory at a time. The values that are made from the bodies may need as
/// much memory again.
package actor LargeBodyTurns {
    private var octetsLeft: Int
    private let capacity: Int
    private var waiting: [(octets: Int, continuation: CheckedContinuation<Void, Never>)] = []

    /// - Parameter capacity: the largest number of octets of large bodies in memory at a time.
    package init(capacity: Int) {
        self.capacity = capacity
        octetsLeft = capacity
    }

    /// Waits for a turn, in the order of the calls. A body that is larger than the whole capacity gets a turn alone.
    func take(_ octets: Int) async {
        let octets = min(octets, capacity)
        if waiting.isEmpty, octets <= octetsLeft {
            octetsLeft -= octets
            return
        }
        await withCheckedContinuation { waiting.append((octets, $0)) }
    }

    /// Runs `work` in a turn of this many octets.
    package func with<Result: Sendable>(
        _ octets: Int, _ work: @Sendable () async throws -> Result
    ) async throws -> Result {
        await take(octets)
        defer { giveBack(octets) }
        return try await work()
    }

    func giveBack(_ octets: Int) {
        octetsLeft += min(octets, capacity)
        while let first = waiting.first, first.octets <= octetsLeft {
            octetsLeft -= first.octets
            waiting.removeFirst().continuation.resume()
        }
    }
}

/// A file without a name. It disappears with the process, however the process ends.
private struct ScratchFile: Sendable {
    private let descriptor: CInt

    // O_TMPFILE, which Swift does not import from <fcntl.h> because its definition there depends on other macros. The
    // value is the same on every Linux except some on MIPS, SPARC and Alpha.
    private static let temporary: CInt = 0o20200000

    static func make(in directory: String) async throws -> ScratchFile {
        try await run {
            let descriptor = open(directory, O_RDWR | O_CLOEXEC | temporary, 0o600)
            guard descriptor >= 0 else { throw RequestBodyStore.Failure.storage(errno) }
            return ScratchFile(descriptor: descriptor)
        }
    }

    func append(_ octets: [UInt8]) async throws {
        try await ScratchFile.run {
            try octets.withUnsafeBytes { octets in
                var rest = octets[...]
                while !rest.isEmpty {
                    let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if written > 0 {
                        rest = rest.dropFirst(written)
                    } else if errno != EINTR {
                        throw RequestBodyStore.Failure.storage(errno)
                    }
                }
            }
        }
    }

    /// The first `count` octets, followed by `rest`, in one array that is never copied.
    func read(_ count: Int, followedBy rest: [UInt8]) async throws -> [UInt8] {
        try await ScratchFile.run {
            try [UInt8](unsafeUninitializedCapacity: count + rest.count) { buffer, initialized in
                initialized = 0
                while initialized < count {
                    let target = UnsafeMutableRawBufferPointer(buffer)[initialized..<count]
                    let read = pread(
                        descriptor, UnsafeMutableRawBufferPointer(rebasing: target).baseAddress, target.count,
                        off_t(initialized))
                    if read > 0 {
                        initialized += read
                    } else if read == 0 || errno != EINTR {
                        throw RequestBodyStore.Failure.storage(read == 0 ? EIO : errno)
                    }
                }
                let behind = UnsafeMutableBufferPointer(rebasing: buffer[count...])
                _ = behind.initialize(fromContentsOf: rest)
                initialized += rest.count
            }
        }
    }

    /// Closes the descriptor, which frees the octets.
    func discard() { _ = close(descriptor) }

    /// Runs `body` on a thread that may block.
    private static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(body)
    }
}
