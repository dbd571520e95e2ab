extension String {
    /// Whether the text has all of the parts, in this order.
    ///
    /// Tests use it to check sentences, because the wording of a sentence is not a contract. They name the facts in the
    /// sentence (names, values, places, a setting, a command). If nothing else shows which rule applied, they also name
    /// a noun for the rule.
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
