import RelayCore

/// The table `message_words`, in which words are searched: a message's words with their positions, of type `tsvector`
/// (PostgreSQL documentation, "Text Search Types").
///
/// ``WordSearch`` determines the words, as for every store. No configuration of PostgreSQL's text search is used.
enum MessageWords {
    // MARK: Vectors

    /// PostgreSQL supports no position after this one.
    private static let lastPosition = 16_383
    /// The most positions of one word. PostgreSQL keeps slightly more.
    private static let mostPositions = 250
    /// The most octets of all words and their positions. PostgreSQL's limit is 1 MiB.
    private static let mostOctets = 1_000_000
    /// Shows that positions were left out. No text contains such a word.
    private static let incomplete = "+"

    /// The words in PostgreSQL's syntax: `'anna':1 'example':2,7`. The subject comes first, then each recipient, with a
    /// gap before each one, so that no phrase begins in one text and ends in another.
    ///
    /// If a position can't be kept, ``incomplete`` is added to the words: in such a message, the words of a phrase are
    /// found in any order. Words beyond 1 MB are left out.
    static func vector(recipients: [String], subject: String?) -> String {
        var words: [(word: String, positions: [Int])] = []
        var places: [String: Int] = [:]
        var octets = 0
        var position = 0
        var isComplete = true
        func result() -> String { written(words) + (isComplete ? "" : " " + quoted(incomplete)) }
        for text in [subject ?? ""] + recipients {
            for word in WordSearch.words(in: text) {
                position += 1
                let place: Int
                if let known = places[word] {
                    place = known
                } else {
                    // Includes what PostgreSQL adds to each word: an octet for alignment, and the number of its
                    // positions.
                    octets += word.utf8.count + 3
                    guard octets <= mostOctets else { return result() }
                    place = words.count
                    places[word] = place
                    words.append((word, []))
                }
                if position <= lastPosition, words[place].positions.count < mostPositions, octets + 2 <= mostOctets {
                    words[place].positions.append(position)
                    octets += 2
                } else {
                    isComplete = false
                }
            }
            position += 1
        }
        return result()
    }

    private static func written(_ words: [(word: String, positions: [Int])]) -> String {
        words.map { word, positions in
            positions.isEmpty
                ? quoted(word) : quoted(word) + ":" + positions.map(String.init).joined(separator: ",")
        }.joined(separator: " ")
    }

    // MARK: Queries

    /// The PostgreSQL query for the words of a search, in the syntax of a `tsquery`: `'anna' & 'ord':*`, and for a
    /// phrase `('anna' <-> 'example' | '+' & 'anna' & 'example')`. Nil if there is no letter and no digit.
    static func query(_ words: String) -> String? {
        WordSearch(words)?.pieces.map { piece in
            var words = piece.words.map(quoted)
            if piece.isBeginning { words[words.count - 1] += ":*" }
            guard words.count > 1 else { return words.joined() }
            let inAnyOrder = ([quoted(incomplete)] + words).joined(separator: " & ")
            return "(" + words.joined(separator: " <-> ") + " | " + inAnyOrder + ")"
        }.joined(separator: " & ")
    }

    /// Letters and digits would not need quotes, but a quoted word can't be anything else.
    private static func quoted(_ word: String) -> String {
        var quoted = "'"
        for scalar in word.unicodeScalars {
            if scalar == "'" || scalar == "\\" { quoted.unicodeScalars.append(scalar) }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "'"
    }
}
