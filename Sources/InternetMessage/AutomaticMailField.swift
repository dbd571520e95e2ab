/// A field by which a message says that a program sent it, or that no reports on it are wanted.
enum AutomaticMailField {
    /// RFC 3834 section 5.
    case autoSubmitted
    /// Not standard, and in wide use (RFC 3834 section 3.1.8).
    case precedence
    /// Microsoft's ([MS-OXCMAIL]): the kinds of answers that are not wanted.
    case autoResponseSuppress

    /// Whether reports on the message's failure are out of place.
    ///
    /// - Parameter body: the field behind its colon. One that can't be read counts as automatic where it is Auto-Submitted: who
    ///   writes that field at all is a program.
    func tellsAutomaticMail(_ body: ArraySlice<UInt8>) -> Bool {
        var words = Words(body)
        switch self {
        case .autoSubmitted: return words.next().map { !Self.isWord($0, "no") } ?? true
        case .precedence:
            guard let word = words.next() else { return false }
            return ["bulk", "junk", "list"].contains { Self.isWord(word, $0) }
        case .autoResponseSuppress:
            // DR stands for reports of success, the rest for replies by people's mail clients. Neither is sent here.
            while let word = words.next() {
                if Self.isWord(word, "ndr") || Self.isWord(word, "all") { return true }
            }
            return false
        }
    }

    private static func isWord(_ word: ArraySlice<UInt8>, _ lowercased: StaticString) -> Bool {
        guard word.count == lowercased.utf8CodeUnitCount else { return false }
        return lowercased.withUTF8Buffer { zip(word, $0).allSatisfy { $0.asciiLowercased == $1 } }
    }

    /// The words of a structured field, without comments and delimiters.
    private struct Words {
        private var tokens: MIMETokenizer

        init(_ body: ArraySlice<UInt8>) { tokens = MIMETokenizer(body) }

        /// Nil at the end, or where the field can't be read on.
        mutating func next() -> ArraySlice<UInt8>? {
            do throws(MIMEFault) {
                while true {
                    switch try tokens.next() {
                    case .atom(let word): return word
                    case .quotedString(let word): return word[...]
                    case .special: continue
                    case .end: return nil
                    }
                }
            } catch {
                return nil
            }
        }
    }
}
