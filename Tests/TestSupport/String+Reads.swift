extension String {
    /// Whether the text matches the pattern. Each `…` in the pattern matches any wording, or none.
    ///
    /// The parts before the first `…` and after the last are compared exactly, such as the codes and the reason word of
    /// a reply. The parts between them must occur in their order. A part without capital letters also matches text with
    /// capital letters, because a word may begin a sentence. A number does not match a part of a longer number. Wording
    /// has no line breaks. A pattern without `…` must be equal to the text.
    public func reads(_ pattern: String) -> Bool {
        let parts = pattern.split(separator: "…", omittingEmptySubsequences: false).map(String.init)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else { return self == pattern }
        guard hasPrefix(first), count(where: \.isNewline) == pattern.count(where: \.isNewline) else { return false }
        var rest = String(dropFirst(first.count))
        guard rest.hasSuffix(last) else { return false }
        rest = String(rest.dropLast(last.count))
        for part in parts.dropFirst().dropLast() {
            let wanted = part.split(separator: " ").joined(separator: " ")
            let text = wanted == wanted.lowercased() ? rest.lowercased() : rest
            guard let end = text.end(of: wanted) else { return false }
            rest = String(rest.dropFirst(text.distance(from: text.startIndex, to: end)))
        }
        return true
    }

    /// The end of the first occurrence of the part that does not begin or end within a number.
    private func end(of part: String) -> Index? {
        for range in ranges(of: part) {
            let cutsBefore = part.first?.isNumber == true && self[..<range.lowerBound].last?.isNumber == true
            let cutsBehind = part.last?.isNumber == true && self[range.upperBound...].first?.isNumber == true
            if !cutsBefore, !cutsBehind { return range.upperBound }
        }
        return nil
    }
}

extension [String] {
    /// Whether each text matches its pattern. There must be one pattern for each text.
    public func reads(_ patterns: [String]) -> Bool {
        count == patterns.count && zip(self, patterns).allSatisfy { $0.reads($1) }
    }
}
