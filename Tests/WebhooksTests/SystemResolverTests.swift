import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Webhooks

@Suite("The resolver") struct SystemResolverTests {
    @Test("The resolver finds this machine, and reports a name without an address") func system() async throws {
        let resolver = SystemResolver(clock: SystemClock(), threads: 1)
        let found = try await resolver.addresses(of: "localhost", within: .seconds(30)).get()
        #expect(found.allSatisfy(\.isLoopback) && !found.isEmpty)
        guard case .failure(let failure) = await resolver.addresses(of: "no-such-name.invalid", within: .seconds(60))
        else {
            Issue.record("a name below .invalid has an address")
            return
        }
        #expect(failure.reason.contains("no-such-name.invalid"))
        resolver.shutdown()
    }

    @Test("A look-up that hangs is given up in time, and runs once for all callers") func hanging() async {
        let clock = ManualClock()
        let gate = Gate()
        let resolver = SystemResolver(clock: clock, threads: 1) { _ in
            gate.wait()
            return .success([IPAddress(ipv4: 0x0101_0101)])
        }
        let answers = await withTaskGroup(of: SystemResolver.Answer.self) { group in
            for _ in 0..<3 { group.addTask { await resolver.addresses(of: "slow.example", within: .seconds(15)) } }
            group.addTask {
                // This loop runs until all three calls have given up.
                while !Task.isCancelled {
                    clock.advance(.seconds(1))
                    await Task.yield()
                }
                return .success([])
            }
            var answers: [SystemResolver.Answer] = []
            while answers.count < 3, let answer = await group.next() { answers.append(answer) }
            group.cancelAll()
            return answers
        }
        #expect(answers.allSatisfy { if case .failure = $0 { true } else { false } })
        gate.open()
        #expect(gate.entered == 1)
        resolver.shutdown()
    }
}

/// Makes threads wait until it is opened.
private final class Gate: Sendable {
    private let state = Mutex((isOpen: false, entered: 0))

    var entered: Int { state.withLock { $0.entered } }

    func wait() {
        state.withLock { $0.entered += 1 }
        while !state.withLock({ $0.isOpen }) {}
    }

    func open() { state.withLock { $0.isOpen = true } }
}
