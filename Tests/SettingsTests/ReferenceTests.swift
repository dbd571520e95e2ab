import Testing

@testable import Settings

/// The reference, etc/relay.yaml and the loaded settings must agree.
@Suite struct ReferenceTests {
    private static func documentation() throws -> [Substring] {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        let path = parts.joined(separator: "/") + "/etc/relay.yaml"
        return try SettingsFile.text(of: path).split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// Whether the line has a setting directly after a #. In prose, a blank follows the #.
    private static func isCommentedOut(_ line: Substring) -> Bool {
        let content = line.drop { $0 == " " }
        return content.first == "#" && content.dropFirst().first?.isLetter == true
    }

    private static func uncommented(_ lines: [Substring]) -> String {
        lines.map { isCommentedOut($0) ? String($0).replacing("#", with: "", maxReplacements: 1) : String($0) }
            .joined(separator: "\n")
    }

    @Test func theFileAsShippedGivesTheDefaults() throws {
        let text = try Self.documentation().joined(separator: "\n")
        #expect(try RelaySettings.load(yaml: text, file: "relay.yaml", [:]) == RelaySettings())
        #expect(SettingsDocument(text, file: "relay.yaml").values.isEmpty)
    }

    @Test func theFileUncommentedGivesTheDefaults() throws {
        let text = Self.uncommented(try Self.documentation())
        #expect(try RelaySettings.load(yaml: text, file: "relay.yaml", [:]) == RelaySettings())
    }

    @Test func theFileHasEverySettingWithItsDefault() throws {
        let lines = try Self.documentation()
        let document = SettingsDocument(Self.uncommented(lines), file: "relay.yaml")
        #expect(Set(document.values.keys) == Set(RelaySettings.reference.map(\.name)))
        let written = lines.filter(Self.isCommentedOut).map { $0.drop { $0 == " " }.dropFirst() }
        let isWrittenDown = { (setting: Setting) in !setting.acceptsEmpty || setting.isList }
        #expect(
            written.map(String.init)
                == RelaySettings.reference.map { "\($0.key):" + (isWrittenDown($0) ? " \($0.defaultText)" : "") })
    }

    @Test func everySettingIsExplainedAboveIt() throws {
        var isExplained = false
        for line in try Self.documentation() {
            let content = line.drop { $0 == " " }
            if content.hasPrefix("# ") { isExplained = true }
            if content.isEmpty { isExplained = false }
            if Self.isCommentedOut(line) { #expect(isExplained, "\(line)") }
        }
    }

    @Test func namesAreDistinctInFileAndEnvironment() {
        let reference = RelaySettings.reference
        #expect(Set(reference.map(\.name)).count == reference.count)
        let variables = reference.map(\.environmentVariable) + RelaySettings.otherVariables.map(\.name)
        #expect(Set(variables).count == variables.count)
    }

    @Test func everyDefaultCanBeWrittenDownAndReadBack() throws {
        for setting in RelaySettings.reference where !setting.acceptsEmpty {
            // The default's text must be accepted, and must give the default.
            let lines = setting.section.map { "\($0):\n  " } ?? ""
            let text = "\(lines)\(setting.key): \(setting.defaultText)\n"
            #expect(try RelaySettings.load(yaml: text, file: "f", [:]) == RelaySettings(), "\(setting.name)")
        }
    }

    @Test func everySettingHasTypeDefaultAndDescription() {
        for setting in RelaySettings.reference {
            #expect(!setting.type.isEmpty && !setting.defaultText.isEmpty && setting.description.hasSuffix("."))
        }
    }
}
