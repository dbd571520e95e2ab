import RelayCore

/// A mistake in the settings: its place, what is wrong, and what would be right.
public struct SettingsMistake: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where a mistake is.
    public enum Place: Hashable, Sendable {
        /// Line and column, both counted from 1. They are nil if the mistake is about the whole file.
        case file(String, line: Int?, column: Int?)
        /// An environment variable.
        case environment(String)
    }

    /// Where the mistake is: in the file, or in an environment variable.
    public var place: Place
    /// The dotted name of the setting or section. Nil if the mistake is about neither.
    public var name: String?
    /// What is wrong and what would be right, as the text after the place and the name.
    public var problem: String

    public init(_ place: Place, _ name: String?, _ problem: String) {
        self.place = place
        self.name = name
        self.problem = problem
    }

    /// `/etc/hiveku-relay/relay.yaml:12:3: submission.max_recipients: must be …`
    public var description: String {
        switch place {
        case .file(let file, let line, let column):
            let parts = [file] + [line, column].compactMap { $0.map(String.init) }
            return parts.joined(separator: ":") + ": " + (name.map { $0 + ": " } ?? "") + problem
        case .environment(let variable):
            return "environment: \(variable): \(problem)"
        }
    }
}

/// All mistakes in the settings: mistakes of the file in the order of its lines, then mistakes of the environment.
public struct SettingsErrors: Error, Hashable, Sendable, CustomStringConvertible {
    /// The mistakes, in the order in which `description` shows them.
    public var mistakes: [SettingsMistake]

    public init(_ mistakes: [SettingsMistake]) { self.mistakes = mistakes }

    /// One line for each mistake.
    public var description: String { mistakes.map(\.description).joined(separator: "\n") }
}

/// The text by which a message quotes a value: in quotes, cut to a reasonable length, and withheld if the value may be
/// a secret in the wrong place.
func echo(_ text: String) -> String {
    if text.isEmpty { return "empty" }
    let mayBeSecret =
        ["-----BEGIN", "hk_live_", "hk_test_"].contains { text.contains($0) }
        || text.contains("://") && (text.contains("@") || text.lowercased().contains("password="))
        || LikelySecret.isIn(text)
    if mayBeSecret { return notShown }
    if text.contains(where: \.isNewline) { return "a text of several lines" }
    return "\"" + legible(text) + "\""
}

/// Replaces a value that may be secret.
let notShown = "the present value (not shown, because it may be secret)"

/// At most 60 characters, without any that could control a terminal and without possible secrets.
func legible(_ text: String) -> String {
    let text = LikelySecret.withheld(in: text)
    let printable = text.unicodeScalars.prefix(60).map { scalar -> Character in
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: "?"
        default: Character(scalar)
        }
    }
    return String(printable) + (text.unicodeScalars.count > 60 ? "…" : "")
}
