import Testing

@testable import Diagnosis

/// What doctor finds about reports to the senders of messages.
@Suite struct BouncesTests {
    @Test(
        arguments: [
            (nil, false, true, [.ok]), (nil, false, false, [.ok]), ("b@example.com", false, false, [.ok]),
            ("b@example.com", true, true, [.ok]), ("b@example.com", true, false, [.ok, .warning]),
        ] as [(String?, Bool, Bool, [Finding.Outcome])])
    func whoHears(from: String?, forEvents: Bool, hearsEvents: Bool, outcomes: [Finding.Outcome]) {
        let findings = Judge.bounces(from: from, forEvents: forEvents, hearsEvents: hearsEvents)
        #expect(findings.map(\.outcome) == outcomes)
        if let from {
            #expect(findings[0].found.contains("failures"))
            #expect(findings[0].found.contains("bounces") == forEvents)
            #expect(findings[0].found.contains(from))
        } else {
            #expect(findings[0].found.contains("bounces.from"))
        }
        #expect(findings.allSatisfy { $0.subject == .bounces })
    }
}
