extension String {
    /// Whether the text is as the pattern says. Each `…` in the pattern stands for wording, also for none.
    ///
    /// What stands before the first `…` and behind the last is compared exactly, such as the codes and the reason word
    /// of a reply. What stands between two of them has to be there in this order. If it has no capital letter, capitals
    /// in the text do not matter, because a word may begin a sentence. A number in it is not part of a longer one.
    /// Wording has no line breaks. A pattern without `…` is the whole text.
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

    /// Where the first occurrence of the part ends that does not begin or end within a number.
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
    /// Whether these texts are as the patterns say, one pattern for each text.
    public func reads(_ patterns: [String]) -> Bool {
        count == patterns.count && zip(self, patterns).allSatisfy { $0.reads($1) }
    }
}
