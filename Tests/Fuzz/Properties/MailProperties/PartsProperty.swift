import FuzzSupport
import InternetMessage

extension Property {
    /// The checks of the parts and of the fields that SES's parser reads. The verdict is the same in any pieces, and
    /// its explanation fits in a reply. An accepted message is accepted again, unchanged.
    public static let parts = Property("parts") { input in
        let message = Array("From: a@good.example\r\n".utf8) + input
        var first: Outcome?
        for chunks in chunkings(of: message) {
            let outcome = Outcome(chunks)
            if let first {
                try require(outcome == first, "\(shown(message)) in \(chunks.count) pieces: \(outcome), not \(first)")
            }
            first = outcome
        }
        guard let first else { return }
        switch first.verdict {
        case .failure(let rejection):
            let words = rejection.explanation
            try require(
                words.utf8.allSatisfy { (0x20...0x7E).contains($0) },
                "\(words.debugDescription) has a control character")
            // RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets, including the code and the reason word.
            try require(words.utf8.count <= 450, "too long for a reply: \(words)")
        case .success:
            let second = Outcome([first.octets[...]])
            try require(second == first, "\(shown(first.octets)) becomes \(second)")
        }
    }
}

/// The output and the verdict of the preparation of a message.
private struct Outcome: Equatable {
    var octets: [UInt8] = []
    var verdict: Result<HeaderSummary, MessageRejection>

    private static let context = PreparationContext(
        received: nil, date: "Wed, 25 Nov 2026 12:00:00 +0000", messageID: "<1@relay.example.com>",
        relayClause: "by relay.example.com (Hiveku Relay)")

    init(_ chunks: [ArraySlice<UInt8>]) {
        var preparation = MessagePreparation(policy: PreparationPolicy(), context: Outcome.context)
        var output: [UInt8] = []
        for chunk in chunks { chunk.withUnsafeBytes { preparation.consume($0, into: &output) } }
        verdict = preparation.finish(into: &output)
        // If the message is refused, the output until then depends on the pieces, so it is not compared.
        if case .success = verdict { octets = output }
    }

    static func == (a: Outcome, b: Outcome) -> Bool {
        guard a.octets == b.octets else { return false }
        switch (a.verdict, b.verdict) {
        case (.success(let one), .success(let other)): return one.from == other.from && one.senders == other.senders
        case (.failure(let one), .failure(let other)): return one == other
        default: return false
        }
    }
}
