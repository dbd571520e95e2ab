/// A field which says that a program sent the message, or that the sender wants no reports about the message.
enum AutomaticMailField {
    /// Auto-Submitted (RFC 3834 section 5).
    case autoSubmitted
    /// Precedence. It is not a standard, but widely used (RFC 3834 section 3.1.8).
    case precedence
    /// Microsoft's X-Auto-Response-Suppress ([MS-OXCMAIL]). It lists the kinds of replies that are not wanted.
    case autoResponseSuppress

    /// Whether the field says that the relay must not send a failure report about the message.
    ///
    /// - Parameter body: the field after its colon. An Auto-Submitted field that can't be read counts as automatic,
    ///   because only programs write that field.
    func tellsAutomaticMail(_ body: ArraySlice<UInt8>) -> Bool {
        var words = Words(body)
        switch self {
        case .autoSubmitted: return words.next().map { !Self.isWord($0, "no") } ?? true
        case .precedence:
            guard let word = words.next() else { return false }
            return ["bulk", "junk", "list"].contains { Self.isWord(word, $0) }
        case .autoResponseSuppress:
            // NDR means failure reports, and All means every kind of reply. The relay sends none of the replies that
            // the field's other words mean: success reports (DR) and replies of people's mail clients.
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

        /// Returns the next word, or nil at the end of the field or where the rest of the field can't be read.
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
