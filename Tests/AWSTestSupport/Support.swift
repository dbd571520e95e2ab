import AWSClient
import Foundation
import Glibc
import RelayCore
import Synchronization

/// A clock that stands still until a test moves it.
///
/// Only the short pauses between two tries pass by themselves, at once; a time-out comes when a test wants it.
package final class TestClock: RelayClock {
    private struct State {
        var now: Timestamp
        var sleepers: [Int: (deadline: Timestamp, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var lastSleeper = 0
    }

    private let state: Mutex<State>

    package init(_ start: Timestamp = Timestamp(milliseconds: 1_795_530_797_042)) { state = Mutex(State(now: start)) }

    package func now() -> Timestamp { state.withLock { $0.now } }

    package func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    package func sleep(until deadline: Timestamp) async throws {
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
package actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    package init() {}

    package func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    package func passed() async {
        if !isOpen { await withCheckedContinuation { waiters.append($0) } }
    }
}

/// A directory that goes when it is no longer used.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "ses-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// In one step, as those who rotate credentials do it: it is another file afterwards.
    @discardableResult
    package func write(_ text: String, to name: String) throws -> String {
        let file = path + "/" + name
        try Data(text.utf8).write(to: URL(filePath: file), options: .atomic)
        return file
    }
}

extension AWSCredentials {
    /// AWS's own examples: valid by form, and nobody's.
    package static func example(
        _ id: String = "AKIDEXAMPLE", token: String? = nil, expiresAt: Timestamp? = nil
    ) throws -> AWSCredentials {
        guard
            let credentials = AWSCredentials(
                accessKeyID: id, secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: token,
                expiresAt: expiresAt)
        else { throw NotToBeHad() }
        return credentials
    }
}

/// A port of the loopback address where nobody listens, and where nobody else can begin to while this lives: a port that a
/// server has let go of is soon another's.
package final class RefusingPort {
    package let number: UInt16
    private let descriptor: CInt

    package init() throws {
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
        guard isBound else { throw NotToBeHad() }
        number = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}

/// What a test needs and could not get.
struct NotToBeHad: Error {}
