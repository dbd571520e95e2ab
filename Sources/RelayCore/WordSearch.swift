import Foundation

/// The words to search for in messages (``MessageFilter/words``). Spaces separate the text into pieces, and each piece
/// is a phrase.
///
/// All stores use the same rule: that of SQLite's tokenizer unicode61 with `remove_diacritics 2`.
public struct WordSearch: Sendable {
    /// One piece of the search: a phrase, or a single word.
    public struct Piece: Sendable {
        /// The piece as it was written.
        public var text: String
        /// Whether the last word of the piece need only be the beginning of a word in a message: the piece ends in `*`,
        /// after enough letters and digits.
        public var isBeginning: Bool

        /// The words of the piece, at least one. In a message they must follow each other.
        public var words: [String] { WordSearch.words(in: text) }
    }

    /// The pieces, at least one. All of them must be found.
    public let pieces: [Piece]

    /// Nil if the text has no letter and no digit.
    public init?(_ text: String) {
        var beginnings = 0
        let pieces = text.unicodeScalars.prefix(WordSearch.mostCharacters)
            .split { $0.properties.isWhitespace || $0.value == 0 }
            .filter { $0.contains(where: WordSearch.isOfWord) }
            .prefix(WordSearch.mostPieces)
            .map { piece in
                let isBeginning = WordSearch.isBeginning(piece) && beginnings < WordSearch.mostBeginnings
                if isBeginning { beginnings += 1 }
                return Piece(text: String(piece), isBeginning: isBeginning)
            }
        guard !pieces.isEmpty else { return nil }
        self.pieces = pieces
    }

    /// Whether every piece is in at least one of the texts.
    public func finds(in texts: [String]) -> Bool {
        let texts = texts.map(WordSearch.words(in:))
        return pieces.allSatisfy { piece in
            let words = piece.words
            return texts.contains { WordSearch.holds($0, words, endsInBeginning: piece.isBeginning) }
        }
    }

    private static func holds(_ text: [String], _ phrase: [String], endsInBeginning: Bool) -> Bool {
        guard let last = phrase.last, phrase.count <= text.count else { return false }
        return (phrase.count - 1..<text.count).contains { end in
            (endsInBeginning ? text[end].hasPrefix(last) : text[end] == last)
                && text[..<end].suffix(phrase.count - 1).elementsEqual(phrase.dropLast())
        }
    }

    private static func isBeginning(_ piece: String.UnicodeScalarView.SubSequence) -> Bool {
        piece.last == "*"
            && piece.dropLast().reversed().prefix(while: isOfWord).count >= MessageFilter.shortestBeginning
    }

    private static let mostCharacters = 200
    private static let mostPieces = 20
    /// The most beginnings in one search, because each is costly. Further beginnings count as whole words.
    private static let mostBeginnings = 2
}

// MARK: Words

extension WordSearch {
    /// The most octets of a word that are kept; no search is that long.
    private static let longestWord = 1000

    /// The words of a text in their order: runs of letters and digits, in lower case and without accents.
    public static func words(in text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        func end() {
            guard !word.isEmpty else { return }
            words.append(String(decoding: word, as: UTF8.self))
            word.removeAll(keepingCapacity: true)
        }
        func add(_ scalar: Unicode.Scalar) {
            let octets = UTF8.encode(scalar) ?? UTF8.EncodedScalar()
            if word.count + octets.count <= longestWord { word += octets }
        }
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x30...0x39, 0x61...0x7A: add(scalar)
            case 0x41...0x5A: add(Unicode.Scalar(UInt8(scalar.value) + 0x20))
            case 0x00...0x7F: end()
            default:
                if isOfWord(scalar) {
                    add(folded(scalar))
                } else if !isAccent(scalar) {
                    end()
                }
            }
        }
        end()
        return words
    }

    /// Whether a scalar is a part of a word: it is in one of the Unicode categories L, N and Co.
    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
            .letterNumber, .otherNumber, .privateUse:
            true
        default: false
        }
    }

    /// Whether a scalar is a combining mark of accented letters. Such marks are removed. Marks of other scripts
    /// distinguish letters: a letter that has such a mark within one scalar keeps it, and a separate mark ends the
    /// word.
    private static func isAccent(_ scalar: Unicode.Scalar) -> Bool { 0x300...0x36F ~= scalar.value }

    private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        let parts = String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars
        let base = parts.dropFirst().allSatisfy(isAccent) ? parts.first ?? scalar : scalar
        // The scalar is converted to upper case and then to lower case, so that a final sigma becomes a normal one.
        let upper = single(base.properties.uppercaseMapping) ?? base
        return upper.properties.lowercaseMapping.unicodeScalars.first ?? upper
    }

    private static func single(_ text: String) -> Unicode.Scalar? {
        let scalars = text.unicodeScalars
        return scalars.count == 1 ? scalars.first : nil
    }
}
