extension String {
    /// Whether the text has all of the parts, in this order.
    ///
    /// Tests check sentences with it, because the wording of a sentence is no contract: they name the facts in it (names,
    /// values, places, a setting, a command) and, where nothing else tells which rule applied, a noun that names the rule.
    public func mentions(_ parts: String...) -> Bool { mentions(parts) }

    public func mentions(_ parts: [String]) -> Bool {
        var rest = self[...]
        for part in parts {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }
}

extension String? {
    /// Whether there is a text that has all of the parts, in this order.
    public func mentions(_ parts: String...) -> Bool { self.map { $0.mentions(parts) } ?? false }
}
