import Foundation
import Glibc
import RelayCore
import Synchronization
import Testing

@testable import SESTransport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A clock that stands still until a test moves it.
///
/// Only the short pauses between two tries pass by themselves, at once; a time-out comes when a test wants it.
final class TestClock: RelayClock {
    private struct State {
        var now: Timestamp
        var sleepers: [Int: (deadline: Timestamp, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var lastSleeper = 0
    }

    private let state: Mutex<State>

    init(_ start: Timestamp = Timestamp(milliseconds: 1_795_530_797_042)) { state = Mutex(State(now: start)) }

    func now() -> Timestamp { state.withLock { $0.now } }

    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    func sleep(until deadline: Timestamp) async throws {
        try Task.checkCancellation()
        let id = state.withLock { state -> Int? in
            if deadline - state.now < .seconds(1) {
                state.now = max(state.now, deadline)
                return nil
            }
            state.lastSleeper += 1
            return state.lastSleeper
        }
        guard let id else { return }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isOver = state.withLock { state in
                    guard !Task.isCancelled, state.now < deadline else { return true }
                    state.sleepers[id] = (deadline, continuation)
                    return false
                }
                if isOver {
                    continuation.resume(with: Result { try Task.checkCancellation() })
                }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(throwing: CancellationError())
        }
    }
}

/// Opened once; who waits before goes on then.
actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    func passed() async {
        if !isOpen { await withCheckedContinuation { waiters.append($0) } }
    }
}

/// A stored body in memory, which notes how it was read.
final class MemoryBody: StoredBody {
    struct Unreadable: Error, CustomStringConvertible { let description = "the disk is gone" }

    let bytes: [UInt8]
    let size: Int
    private let mostAtATime: Int
    private let failsAt: Int?
    private let reads = Mutex<[(offset: Int, count: Int)]>([])

    /// `claiming`: another size than it has. `mostAtATime`: gives less than it is asked for.
    init(_ bytes: [UInt8], claiming size: Int? = nil, mostAtATime: Int = .max, failsAt: Int? = nil) {
        self.bytes = bytes
        self.size = size ?? bytes.count
        self.mostAtATime = mostAtATime
        self.failsAt = failsAt
    }

    func read(at offset: Int, count: Int) throws -> [UInt8] {
        reads.withLock { $0.append((offset, count)) }
        if let failsAt, offset + count > failsAt { throw Unreadable() }
        let end = min(bytes.count, offset + min(count, mostAtATime))
        return offset < end ? Array(bytes[offset..<end]) : []
    }

    var readsSoFar: [(offset: Int, count: Int)] { reads.withLock { $0 } }
}

/// A directory that goes when it is no longer used.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "ses-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// In one step, as those who rotate credentials do it: it is another file afterwards.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(filePath: file), options: .atomic)
        return file
    }
}

extension AWSCredentials {
    /// AWS's own examples: valid by form, and nobody's.
    static func example(
        _ id: String = "AKIDEXAMPLE", token: String? = nil, expiresAt: Timestamp? = nil
    ) throws -> AWSCredentials {
        try #require(
            AWSCredentials(
                accessKeyID: id, secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: token,
                expiresAt: expiresAt))
    }
}

extension ClaimedDelivery {
    static func example(
        to recipients: [String] = ["ann@example.org"], from sender: String? = "bounces@example.com", size: Int = 0
    ) throws -> ClaimedDelivery {
        ClaimedDelivery(
            id: DeliveryID(rawValue: 1), message: try #require(MessageID(rawValue: 1)),
            key: try #require(KeyID("Ab3dE6gH")), lane: .live,
            envelope: Envelope(reversePath: sender, recipients: recipients), size: size,
            queuedSince: Timestamp(milliseconds: 1_795_530_797_042), attempts: 0, maybeDuplicate: false)
    }
}

/// Pseudo-random bytes, the same each time.
func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        for i in 0..<count {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            buffer[i] = UInt8(truncatingIfNeeded: state)
        }
        initialized = count
    }
}

/// A port of the loopback address where nobody listens, and where nobody else can begin to while this lives: a port that a
/// server has let go of is soon another's.
final class RefusingPort {
    let number: UInt16
    private let descriptor: CInt

    init() throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        try #require(isBound)
        number = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}
