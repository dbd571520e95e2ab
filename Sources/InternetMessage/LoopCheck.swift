/// Refuses a message that is in a mail loop (RFC 5321 section 6.3).
struct LoopCheck {
    /// A message with this many Received fields is refused. RFC 5321 section 6.3 asks for a limit of at least 100.
    static let tooManyPassages = 100
    /// A message in which the relay's own field occurs this many times is refused. A list server or a forwarder may
    /// legitimately send a message through the relay again, but not ten times.
    static let tooManyOwnPassages = 10

    private let ownClause: [UInt8]?
    private var passages = 0
    private var ownPassages = 0

    init(relayClause: String?) {
        ownClause = relayClause.map { $0.utf8.map(\.asciiLowercased) }
    }

    /// Counts one Received field.
    ///
    /// - Throws: `MessageRejection.loop` when there are too many.
    mutating func count(_ body: ArraySlice<UInt8>) throws(MessageRejection) {
        passages += 1
        if let ownClause, Self.holds(body, ownClause) { ownPassages += 1 }
        if ownPassages >= Self.tooManyOwnPassages {
            throw .loop(
                "The message has passed this relay \(ownPassages) times (Received); find out which server sends it back"
            )
        }
        if passages >= Self.tooManyPassages {
            throw .loop(
                "The message has \(passages) Received fields; find out which servers send it in a loop")
        }
    }

    /// Whether the body contains the clause. Case is ignored, and each space of the clause matches one or more blanks
    /// and folds.
    private static func holds(_ body: ArraySlice<UInt8>, _ clause: [UInt8]) -> Bool {
        var start = body.startIndex
        while let found = body[start...].firstIndex(where: { $0.asciiLowercased == clause.first }) {
            // The clause counts only at the beginning of a word.
            let beginsWord = found == body.startIndex || body[found - 1].isFoldingWhiteSpace
            if beginsWord, matches(body[found...], clause) { return true }
            start = found + 1
        }
        return false
    }

    private static func matches(_ text: ArraySlice<UInt8>, _ clause: [UInt8]) -> Bool {
        var index = text.startIndex
        for byte in clause {
            guard index < text.endIndex else { return false }
            if byte == .space {
                guard text[index].isFoldingWhiteSpace else { return false }
                while index < text.endIndex, text[index].isFoldingWhiteSpace { index += 1 }
            } else {
                guard text[index].asciiLowercased == byte else { return false }
                index += 1
            }
        }
        return true
    }
}
