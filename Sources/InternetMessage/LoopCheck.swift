/// Stops a message that goes around in a circle (RFC 5321 section 6.3).
struct LoopCheck {
    /// RFC 5321 section 6.3 asks for at least 100.
    static let maximumPassages = 100
    /// How often the relay's own field may stand in a message: a list server or a forwarder may well send a message through
    /// the relay again, but not ten times.
    static let maximumOwnPassages = 10

    private let ownClause: [UInt8]?
    private var passages = 0
    private var ownPassages = 0

    init(relayClause: String?) {
        ownClause = relayClause.map { $0.utf8.map(\.asciiLowercased) }
    }

    /// Counts one Received field.
    ///
    /// - Throws: `MessageRejection.loop` when it is one too many.
    mutating func count(_ body: ArraySlice<UInt8>) throws(MessageRejection) {
        passages += 1
        if let ownClause, Self.holds(body, ownClause) { ownPassages += 1 }
        if ownPassages >= Self.maximumOwnPassages {
            throw .loop(
                "The message has passed this relay \(ownPassages) times (Received); find out which server sends it back"
            )
        }
        if passages >= Self.maximumPassages {
            throw .loop(
                "The message has \(passages) Received fields; find out which servers send it around in a circle")
        }
    }

    /// Whether the body holds the clause, letters in either case, and any blanks and folds where the clause has one blank.
    private static func holds(_ body: ArraySlice<UInt8>, _ clause: [UInt8]) -> Bool {
        var start = body.startIndex
        while let found = body[start...].firstIndex(where: { $0.asciiLowercased == clause.first }) {
            // A clause begins a word.
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
