import Foundation
import RelayCore
import Testing

@testable import Settings

/// Each .yaml file in `Fixtures` has one kind of mistake. The .expected file of the same name has the messages, one per
/// line.
@Suite struct FixtureTests {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    static func fixtures() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".yaml") }.sorted()
    }

    @Test func thereAreFixtures() throws { #expect(try Self.fixtures().count >= 25) }

    @Test(arguments: try fixtures())
    func messages(fixture: String) throws {
        let file = Self.directory.appending(path: fixture)
        let expected = try String(
            contentsOf: file.deletingPathExtension().appendingPathExtension("expected"), encoding: .utf8)
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(file: file.path, environment: [:])
        }
        let said = (errors?.description ?? "").replacing(Self.directory.path + "/", with: "")
        #expect(said + "\n" == expected)
    }

    @Test func unreadableFiles() throws {
        let missing = Self.directory.appending(path: "none-such.yaml").path
        #expect(
            throws: SettingsErrors([
                SettingsMistake(
                    .file(missing, line: nil, column: nil), nil, "can't be opened: No such file or directory")
            ])
        ) {
            try RelaySettings.load(file: missing, environment: [:])
        }
        let directory = Self.directory.path
        #expect(
            throws: SettingsErrors([
                SettingsMistake(.file(directory, line: nil, column: nil), nil, "is a directory; name the file in it")
            ])
        ) {
            try RelaySettings.load(file: directory, environment: [:])
        }
    }

    @Test func aFileThatIsTooLargeIsGivenUp() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID()).yaml")
        try Data(repeating: 0x23, count: 256 << 10 + 1).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(file: file.path, environment: [:])
        }
        #expect(errors?.description == "\(file.path): is larger than 256 KiB, which no settings file is")
    }

    /// A pipe without a writer would block for ever, and a device may have no end.
    @Test func aPipeAndADeviceAreRefusedAtOnce() throws {
        let pipe = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID()).pipe").path
        #expect(mkfifo(pipe, 0o600) == 0)
        defer { unlink(pipe) }
        for path in [pipe, "/dev/zero", "/dev/null"] {
            let errors = #expect(throws: SettingsErrors.self) {
                try RelaySettings.load(file: path, environment: [:])
            }
            #expect(
                errors?.description
                    == "\(path): is a pipe, a socket or a device; the settings are read again on SIGHUP, so name a regular file"
            )
        }
    }

    /// Deep nesting must not overflow the stack, neither in the parser nor in ``SettingsDocument``.
    @Test(arguments: ["[", "{ a: ", "- ", "listen: [[", "tls: {"])
    func deepNesting(opening: String) {
        #expect(mistakes(yaml: String(repeating: opening, count: 20_000)).count == 1)
    }

    @Test(arguments: ["\u{FEFF}database: /a\n", "database: /a\r\nhostname: a\r\n"])
    func otherEditorsFiles(text: String) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID()).yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(try RelaySettings.load(file: file.path, environment: [:]).database == .sqlite("/a"))
    }

    @Test func theEnvironmentIsJudgedAlsoWhenTheFileIsMissing() {
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(file: "/none/such", environment: ["HIVEKU_RELAY_LOG_LEVEL": "x"])
        }
        #expect(errors?.mistakes.count == 2)
    }
}
