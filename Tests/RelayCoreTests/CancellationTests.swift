import RelayCore
import TestSupport
import Testing

@Suite struct CancellationTests {
    private static let message = MessageID(rawValue: 1)!
    private let key = Sample.key()

    private func decide(
        owner: KeyID? = nil, _ deliveries: [DeliveryState], _ change: (inout StoredKey) -> Void = { _ in }
    ) -> Cancellation.Decision {
        var stored = key.stored
        change(&stored)
        let cancellation = Cancellation(
            of: CancellationTests.message, key: key.secret.id, secret: key.secret.digest, client: Sample.client)
        return cancellation.decide(stored, owner: owner ?? key.secret.id, deliveries: deliveries, at: Sample.now)
    }

    @Test(
        arguments: [
            ([.queued], .cancel), ([.held, .queued], .cancel), ([.cancelled], .answer(.cancelled)),
            ([.sending], .answer(.conflict(.sending))), ([.queued, .sending], .answer(.conflict(.sending))),
            ([.queued, .sent], .answer(.conflict(.queued))), ([.sent], .answer(.conflict(.sent))),
            ([.simulated], .answer(.conflict(.simulated))), ([.failed], .answer(.conflict(.failed))),
        ] as [([DeliveryState], Cancellation.Decision)])
    func whatIsNotOnItsWayCanBeCancelled(_ deliveries: [DeliveryState], _ expected: Cancellation.Decision) {
        #expect(decide(deliveries) == expected)
    }

    @Test func anotherKeysMessageIsNotFound() {
        #expect(decide(owner: Sample.key().secret.id, [.queued]) == .answer(.notFound))
        let cancellation = Cancellation(of: CancellationTests.message, key: key.secret.id)
        #expect(
            cancellation.decide(key.stored, owner: nil, deliveries: [], at: Sample.now) == .answer(.notFound))
        #expect(
            cancellation.decide(nil, owner: nil, deliveries: [], at: Sample.now).reason == .keyRevoked)
    }

    @Test func aKeyThatMayNotSendMayNotCancel() throws {
        let elsewhere = try NetworkBlock("198.51.100.0/24")
        let other = Sample.key().secret.digest
        let rules: [(RefusalReason, (inout StoredKey) -> Void)] = [
            (.keyRevoked, { $0.key.revokedAt = Sample.now }), (.keyExpired, { $0.key.expiresAt = Sample.now }),
            (.scope, { $0.key.scopes = [] }), (.network, { $0.key.networks = [elsewhere] }),
            (.keyUnknown, { $0.digest = other }),
        ]
        for (reason, rule) in rules { #expect(decide([.queued], rule).reason == reason) }
    }
}

extension Cancellation.Decision {
    fileprivate var reason: RefusalReason? {
        if case .answer(.refused(let refusal)) = self { refusal.reason } else { nil }
    }
}
