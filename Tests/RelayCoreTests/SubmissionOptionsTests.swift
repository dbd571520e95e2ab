import RelayCore
import TestSupport
import Testing

@Suite struct SubmissionOptionsTests {
    @Test(
        arguments: [
            ([], nil), (["a"], nil), ([String(repeating: "x", count: 256)], nil),
            ([String(repeating: "x", count: 257)], "257 octets"), ([String(repeating: "\u{E9}", count: 129)], "258"),
            ([""], "Tag 1 … empty"), (["a", "b\nc"], "Tag 2 … control"),
            (["\0"], "control"), (["a\u{2028}"], "line separator"), (["\u{85}"], "control"), (["\u{FFFD}"], "UTF-8"),
            (["\u{65E5}\u{672C}, x"], nil), (Array(repeating: "a", count: 11), "11 tags"),
            ((0..<10).map { "t\($0)" }, nil),
        ] as [([String], String?)])
    func tagsAreHeldToTheirRule(_ tags: [String], _ words: String?) {
        let refusal = MessageTags.refusal(of: tags)
        #expect((refusal == nil) == (words == nil))
        guard let refusal, let words else { return }
        #expect(refusal.reason == .invalid && refusal.explanation.reads("… \(words) …"))
    }

    /// Two spellings of one character are two tags, as in a database.
    @Test func duplicateTagsAreRemoved() {
        #expect(MessageTags.unique(["b", "a", "b"]) == ["b", "a"])
        #expect(MessageTags.unique(["\u{E9}", "e\u{301}"]).count == 2)
    }

    @Test(arguments: [(-1, nil), (0, nil), (1, 1), (30 * 86_400, 30 * 86_400)] as [(Int, Int?)])
    func pastScheduledTimeMeansNow(_ seconds: Int, _ wait: Int?) {
        let time = Sample.now + .seconds(seconds)
        #expect(Schedule.refusal(of: time, at: Sample.now) == nil)
        #expect(Schedule.wait(until: time, at: Sample.now) == wait.map { Sample.now + .seconds($0) })
    }

    @Test func aTimeTooFarAheadIsRefused() {
        let refusal = Schedule.refusal(of: Sample.now + Schedule.longest + .milliseconds(1), at: Sample.now)
        #expect(refusal?.reason == .invalid && refusal?.explanation.contains("30 days") == true)
    }

    @Test func fingerprintsOfRequestsDifferInKeyPartAndKind() {
        let (a, b) = (Sample.key().secret.id, Sample.key().secret.id)
        let prints = [
            Fingerprint(key: a, request: "x"), Fingerprint(key: b, request: "x"), Fingerprint(key: a, request: "y"),
            Fingerprint(key: a, request: "x", part: 0), Fingerprint(key: a, request: "x", part: 1),
            Fingerprint(key: a, idempotencyKey: "x"),
        ]
        #expect(Set(prints).count == prints.count)
    }

    /// A message with other tags, or for another time, is another message.
    @Test func messageFingerprintsIncludeTheOptions() {
        let key = Sample.key().secret.id
        func print(_ recipients: [String], _ tags: [String], _ time: Timestamp? = nil) -> Fingerprint {
            Fingerprint(
                key: key, messageID: "<1@a>", envelope: Envelope(reversePath: nil, recipients: recipients),
                content: [1], tags: tags, scheduledAt: time)
        }
        let prints = [
            print(["a@b"], []), print(["a@b"], ["c@d"]), print(["a@b", "c@d"], []), print(["a@b"], ["c@d", "e"]),
            print(["a@b"], [], Sample.now), print(["a@b"], ["c@d"], Sample.now),
        ]
        #expect(Set(prints).count == prints.count)
        #expect(print(["a@b"], ["c@d"]) == prints[1])
    }
}
