import FuzzSupport

@testable import Settings

extension Property {
    /// A settings file is read the same way each time. Each mistake has a place that exists in the file and words that
    /// are fit for a terminal.
    public static let settings = Property("settings") { input in
        guard let text = String(validating: input, as: UTF8.self) else { return }
        let first = load(text)
        try require(load(text) == first, "\(shown(input)) is read in two ways")
        guard case .failure(let errors) = first else { return }
        try require(!errors.mistakes.isEmpty, "refused without a reason: \(shown(input))")
        // libYAML counts these characters as line ends. One more line is allowed, for a mistake about something that is
        // missing at the end.
        let breaks = text.unicodeScalars.count { ["\r", "\n", "\u{85}", "\u{2028}", "\u{2029}"].contains($0) }
        for mistake in errors.mistakes {
            let words = mistake.description
            try require(
                words.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) },
                "\(shown(input)): a mistake with control characters: \(words.debugDescription)")
            try require(words.utf8.count <= 2000, "\(shown(input)): a mistake of \(words.utf8.count) octets")
            guard case .file(_, let line, let column) = mistake.place else {
                throw Violation("\(shown(input)): a mistake without a place in the file: \(words)")
            }
            try require(
                (1...(breaks + 2)).contains(line ?? 1) && column ?? 1 >= 1, "\(shown(input)): no such place: \(words)")
        }
    }

    private static func load(_ text: String) -> Result<RelaySettings, SettingsErrors> {
        do throws(SettingsErrors) {
            return .success(try RelaySettings.load(yaml: text, file: "relay.yaml", [:]))
        } catch {
            return .failure(error)
        }
    }
}
