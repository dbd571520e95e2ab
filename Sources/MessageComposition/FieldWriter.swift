import InternetMessage

/// Writes header fields (RFC 5322 section 2.2), folded to lines of 76 characters (RFC 2047 section 2) where folding is
/// possible.
///
/// A line without a place to fold may be longer. With the values that ``Email/defects()`` allows, such a line stays
/// below 998 octets.
package struct FieldWriter {
    /// The header fields so far.
    package var octets: [UInt8] = []
    private var lineStart = 0

    private static let preferredLine = 76

    package init() {}

    /// The number of characters of the line so far.
    var column: Int { octets.count - lineStart }

    mutating func append(_ text: String) { octets.append(contentsOf: text.utf8) }

    /// Begins the next line of a field. A blank at the end of the last line becomes the first character of the new one.
    mutating func fold() {
        if octets.last == .space { octets.removeLast() }
        octets.append(.cr)
        octets.append(.lf)
        lineStart = octets.count
        octets.append(.space)
    }

    /// Ends a field. If the current line is empty, ends the header section.
    package mutating func end() {
        octets.append(.cr)
        octets.append(.lf)
        lineStart = octets.count
    }

    private mutating func begin(_ name: String) {
        append(name)
        append(": ")
    }

    /// Writes what separates the next word from the text before it: a space if a word of this length fits on the line,
    /// otherwise a fold. The caller then appends the word. `first`: whether only the field's name is before the word.
    /// If so, nothing is written.
    private mutating func separateWord(length: Int, first: Bool) {
        if first { return }
        if column + 1 + length > Self.preferredLine { fold() } else { octets.append(.space) }
    }

    /// Writes a field of ASCII words. Lines may be folded between the words.
    package mutating func field(_ name: String, words: [String]) {
        begin(name)
        for (index, word) in words.enumerated() {
            separateWord(length: word.utf8.count, first: index == 0)
            append(word)
        }
        end()
    }

    // MARK: - Text

    /// Writes an unstructured field (RFC 5322 section 2.2.1).
    ///
    /// - Parameter isVerbatim: whether an ASCII value is written unchanged, even if a reader could find an encoded word
    ///   in it. It is true for all fields that the application adds, because some have a syntax of their own, and false
    ///   for the subject.
    package mutating func field(_ name: String, text: String, isVerbatim: Bool) {
        begin(name)
        let start = octets.count
        octets.append(contentsOf: text.utf8)
        if isVerbatim { trimBlanks(from: start) }
        let isASCII = octets[start...].allSatisfy { $0 < 0x80 }
        let isPlain =
            isASCII
            && (isVerbatim
                || (octets[start...].last?.isBlank != true && octets[start...].first?.isBlank != true
                    && !text.holdsEncodedWordStart
                    && (text.utf8.count <= HeaderFieldRule.maximumStretch
                        || HeaderFieldRule.longestStretch(text) <= HeaderFieldRule.maximumStretch)))
        if isPlain, column <= Self.preferredLine {
            // An empty value needs no blank.
            if octets.count == start { octets.removeLast() }
            return end()
        }
        let value = octets[start...]
        octets.removeSubrange(start...)
        if isPlain { appendFolded(value) } else { appendEncoded(value) }
        end()
    }

    private mutating func trimBlanks(from start: Int) {
        while octets.count > start, octets.last?.isBlank == true { octets.removeLast() }
        let blanks = octets[start...].prefix(while: \.isBlank).count
        octets.removeSubrange(start..<(start + blanks))
    }

    /// Folds only before single spaces, because some readers turn a fold and all blanks around it into one blank.
    private mutating func appendFolded(_ value: ArraySlice<UInt8>) {
        var wordStart = value.startIndex
        func wordEnd(from start: Int) -> Int {
            var index = start
            while index < value.endIndex, !HeaderFieldRule.isFoldingPlace(value, at: index) { index += 1 }
            return index
        }
        while wordStart < value.endIndex {
            let end = wordEnd(from: wordStart)
            separateWord(length: end - wordStart, first: wordStart == value.startIndex)
            octets.append(contentsOf: value[wordStart..<end])
            wordStart = end + 1
        }
    }

    /// Encodes the words that need encoding, with the spaces between them. Encodes the whole value if anything but a
    /// single space separates two words.
    private mutating func appendEncoded(_ value: ArraySlice<UInt8>) {
        let words = value.split(separator: .space, omittingEmptySubsequences: false)
        guard !words.contains(where: { $0.isEmpty || $0.contains(.tab) }) else {
            return EncodedWordWriter.append(value, to: &self)
        }
        var index = 0
        while index < words.count {
            guard Self.needsEncoding(words[index]) else {
                separateWord(length: words[index].count, first: index == 0)
                octets.append(contentsOf: words[index])
                index += 1
                continue
            }
            var last = index
            while last + 1 < words.count, Self.needsEncoding(words[last + 1]) { last += 1 }
            if index > 0 { octets.append(.space) }
            EncodedWordWriter.append(value[words[index].startIndex..<words[last].endIndex], to: &self)
            index = last + 1
        }
    }

    private static func needsEncoding(_ word: ArraySlice<UInt8>) -> Bool {
        var previous: UInt8 = 0
        for byte in word {
            if byte >= 0x80 || (byte == .questionMark && previous == .equalsSign) { return true }
            previous = byte
        }
        return word.count > HeaderFieldRule.maximumStretch
    }

    // MARK: - Addresses

    /// Writes a field of mailboxes (RFC 5322 section 3.4).
    package mutating func field(_ name: String, mailboxes: [Mailbox]) {
        begin(name)
        for (index, mailbox) in mailboxes.enumerated() {
            if index > 0 { octets.append(UInt8(ascii: ",")) }
            append(mailbox, first: index == 0)
        }
        end()
    }

    private mutating func append(_ mailbox: Mailbox, first: Bool) {
        let local = mailbox.address.localPart
        let domain = mailbox.address.domain.text
        let length = local.utf8.count + 1 + domain.utf8.count
        guard let name = mailbox.displayName, !name.isEmpty else {
            separateWord(length: length, first: first)
            appendAddress(local, domain)
            return
        }
        if !name.isASCII {
            if !first { octets.append(.space) }
            EncodedWordWriter.append(Array(name.utf8)[...], to: &self)
        } else if name.utf8.allSatisfy({ $0.isAtomText }) {
            separateWord(length: name.utf8.count, first: first)
            append(name)
        } else if Self.isPhrase(name) {
            for (index, word) in name.utf8.split(separator: .space).enumerated() {
                separateWord(length: word.count, first: first && index == 0)
                octets.append(contentsOf: word)
            }
        } else {
            appendQuotedString(name, first: first)
        }
        separateWord(length: length + 2, first: false)
        octets.append(UInt8(ascii: "<"))
        appendAddress(local, domain)
        octets.append(UInt8(ascii: ">"))
    }

    private mutating func appendAddress(_ local: String, _ domain: String) {
        append(local)
        octets.append(UInt8(ascii: "@"))
        append(domain)
    }

    /// Whether a name consists of atoms with single spaces between them.
    private static func isPhrase(_ name: String) -> Bool {
        var previous = UInt8.space
        for byte in name.utf8 {
            guard byte.isAtomText || (byte == .space && previous != .space) else { return false }
            previous = byte
        }
        return previous != .space
    }

    /// Writes the text as a quoted string. It is never folded, because readers differ about a fold in quotes.
    private mutating func appendQuotedString(_ text: String, first: Bool) {
        let escapes = text.utf8.count { $0 == .quote || $0 == .backslash }
        separateWord(length: text.utf8.count + escapes + 2, first: first)
        octets.append(.quote)
        for byte in text.utf8 {
            if byte == .quote || byte == .backslash { octets.append(.backslash) }
            octets.append(byte)
        }
        octets.append(.quote)
    }
}
