import Testing

@testable import Diagnosis

/// Reports to the senders of messages.
@Suite struct BouncesTests {
    @Test(
        arguments: [
            (nil, false, true, [.ok], "do not learn"), (nil, false, false, [.ok], "do not learn"),
            ("b@example.com", false, false, [.ok], "told of failures by mail from b@example.com"),
            ("b@example.com", true, true, [.ok], "told of failures and of bounces by mail from b@example.com"),
            (
                "b@example.com", true, false, [.ok, .warning],
                "told of failures and of bounces by mail from b@example.com"
            ),
        ] as [(String?, Bool, Bool, [Finding.Outcome], String)])
    func whoHears(from: String?, forEvents: Bool, hearsEvents: Bool, outcomes: [Finding.Outcome], words: String) {
        let findings = Judge.bounces(from: from, forEvents: forEvents, hearsEvents: hearsEvents)
        #expect(findings.map(\.outcome) == outcomes)
        #expect(findings[0].found.contains(words))
        #expect(findings.allSatisfy { $0.subject == .bounces })
    }
}
