/// A row of the reference: one setting, with its description, its validation and its names.
///
/// Validation, defaults, names in file and environment, and the documentation all come from these rows.
public struct Setting: Sendable {
    /// The dotted name, such as `submission.max_recipients`.
    public let name: String
    /// The values that the setting accepts, in words.
    public let type: String
    /// The default as it is written in the file, or a description of a default that can't be written there.
    public let defaultText: String
    /// What the setting does, in sentences.
    public let description: String
    /// Whether the setting is a list. In the environment, commas separate its items.
    public let isList: Bool
    /// Whether an empty value is accepted. For a list it means no items. For a setting with one value it means the
    /// default, which has no text because it is nil or depends on the machine.
    public let acceptsEmpty: Bool
    /// Whether a running relay keeps the value that it started with.
    public let needsRestart: Bool
    /// Whether the value may contain a password, so that no error or log line repeats it.
    public let mayHoldSecret: Bool
    /// Whether the setting differs between two sets of settings.
    let differs: @Sendable (RelaySettings, RelaySettings) -> Bool
    /// Copies the setting from one set of settings into another.
    let copy: @Sendable (_ from: RelaySettings, _ to: inout RelaySettings) -> Void
    /// Sets the value from the written text. Returns the wrong items, with the reasons. If there are any, sets nothing.
    let assign: @Sendable (inout RelaySettings, [String]) -> [ItemProblem]

    struct ItemProblem {
        var item: Int
        var problem: String
    }

    /// A setting with one value. `unwritten` describes a default that can't be written in the file, because it
    /// is nil or depends on the machine.
    init<Value: Equatable>(
        _ name: String, _ path: any WritableKeyPath<RelaySettings, Value> & Sendable, _ kind: ValueKind<Value>,
        unwritten: String? = nil, needsRestart: Bool = false, mayHoldSecret: Bool = false, _ description: String
    ) {
        self.name = name
        self.type = kind.expectation
        self.defaultText = unwritten ?? kind.write(RelaySettings()[keyPath: path])
        self.description = description
        self.isList = false
        self.mayHoldSecret = mayHoldSecret
        self.acceptsEmpty = kind.acceptsEmpty
        self.needsRestart = needsRestart
        self.differs = { $0[keyPath: path] != $1[keyPath: path] }
        self.copy = { $1[keyPath: path] = $0[keyPath: path] }
        self.assign = { settings, items in
            let text = items.first ?? ""
            if text.isEmpty, kind.acceptsEmpty { return [] }
            do throws(ValueError) {
                settings[keyPath: path] = try kind.read(text)
                return []
            } catch {
                return [ItemProblem(item: 0, problem: kind.problem(text, error))]
            }
        }
    }

    /// A setting with several values: the number of them must be in `counts`, and no two may be equal if `isDistinct`.
    init<Value: Hashable>(
        _ name: String, _ path: any WritableKeyPath<RelaySettings, [Value]> & Sendable, listOf kind: ValueKind<Value>,
        _ counts: ClosedRange<Int>, isDistinct: Bool, needsRestart: Bool = false, _ description: String
    ) {
        self.name = name
        self.type = "a list, each item \(kind.expectation)"
        self.defaultText =
            "[" + RelaySettings()[keyPath: path].map { "\"\(kind.write($0))\"" }.joined(separator: ", ") + "]"
        self.description = description
        self.isList = true
        self.mayHoldSecret = false
        self.acceptsEmpty = counts.contains(0)
        self.needsRestart = needsRestart
        self.differs = { $0[keyPath: path] != $1[keyPath: path] }
        self.copy = { $1[keyPath: path] = $0[keyPath: path] }
        self.assign = { settings, items in
            guard counts.contains(items.count) else {
                let range = "\(counts.lowerBound) to \(counts.upperBound)"
                return [ItemProblem(item: 0, problem: "must be a list of \(range) items, not \(items.count)")]
            }
            var values: [Value] = []
            var problems: [ItemProblem] = []
            for (index, text) in items.enumerated() {
                do throws(ValueError) {
                    let value = try kind.read(text)
                    if isDistinct, values.contains(value) {
                        problems.append(ItemProblem(item: index, problem: "lists \(echo(text)) twice"))
                    }
                    values.append(value)
                } catch {
                    problems.append(ItemProblem(item: index, problem: kind.problem(text, error)))
                }
            }
            if problems.isEmpty { settings[keyPath: path] = values }
            return problems
        }
    }

    /// The environment variable that overrides the file's value.
    public var environmentVariable: String {
        Setting.environmentPrefix + name.uppercased().replacing(".", with: "_")
    }

    static let environmentPrefix = "HIVEKU_RELAY_"

    /// The part before the last dot; nil for a setting at the top level.
    var section: String? { name.lastIndex(of: ".").map { String(name[..<$0]) } }

    /// The part after the last dot.
    var key: String { name.split(separator: ".").last.map(String.init) ?? name }
}

extension ValueKind {
    fileprivate func problem(_ text: String, _ error: ValueError) -> String {
        "must be \(expectation), not \(error.hidesText ? notShown : echo(text))"
            + (error.reason.map { ": \($0)" } ?? "")
    }
}
