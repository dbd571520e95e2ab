import HummingbirdCore
import NIOCore
import NIOPosix
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Takes in the body of a request: a small one in memory, a large one through a file, so that many clients that send slowly and much
/// need little memory.
struct RequestBodyStore: Sendable {
    enum Failure: Error {
        /// The body is longer than is allowed.
        case tooLarge
        /// A file for it can't be made, written or read: the system's error number.
        case storage(CInt)
        /// The space that is left is kept for others.
        case noSpace(Refusal)
    }

    /// The directory of files that are deleted while they are in use.
    let directory: String
    /// Octets of a body.
    let limit: Int
    let turns: LargeBodyTurns
    /// Why there is no space for so many octets; nil where there is. Returns at once.
    let refusalOfSpace: @Sendable (Int) -> Refusal?

    /// Octets of a body that are kept in memory.
    static let inlineLimit = 128 * 1024

    /// Reads the whole body, and hands it to `work`. Of large ones, few are in memory at the same time.
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

/// How many octets of large bodies may be in memory at a time, as bodies; what is made of them may take as much again.
package actor LargeBodyTurns {
    private var octetsLeft: Int
    private let capacity: Int
    private var waiting: [(octets: Int, continuation: CheckedContinuation<Void, Never>)] = []

    package init(capacity: Int) {
        self.capacity = capacity
        octetsLeft = capacity
    }

    /// Waits for a turn, in the order of the calls. A body over the whole capacity goes alone.
    func take(_ octets: Int) async {
        let octets = min(octets, capacity)
        if waiting.isEmpty, octets <= octetsLeft {
            octetsLeft -= octets
            return
        }
        await withCheckedContinuation { waiting.append((octets, $0)) }
    }

    /// Does `work` in a turn of so many octets.
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

/// A file without a name: it goes with the process, however that ends.
private struct ScratchFile: Sendable {
    private let descriptor: CInt

    // Not imported from <fcntl.h>, where it hangs on other macros; the same on every Linux but some on MIPS, SPARC and Alpha.
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

    /// The first `count` octets, and `rest` behind them, in one array that is never copied.
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

    /// Gives the descriptor back, and with it the octets.
    func discard() { _ = close(descriptor) }

    /// On a thread that may block.
    private static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(body)
    }
}
