import Foundation
import RelayCore
import TestSupport
import Testing

@testable import Settings

/// Each .yaml file in `Fixtures` has one kind of mistake. The .expected file of the same name has the messages, one per
/// line. Each `…` in it stands for wording.
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
        let lines = said.split(separator: "\n").map(String.init)
        #expect(lines.reads(expected.split(separator: "\n").map(String.init)), "\(said)")
        for secret in Self.secrets { #expect(!said.contains(secret), "\(said)") }
    }

    /// Texts in the fixtures that may be secret.
    private static let secrets = [
        "open-sesame", "relay.internal", "wJalrXUtnFEMI", "EXAMPLE", "abcdefghij", "ABCDEFGHIJ", "bm90IGEga2V5",
        "somebody", "something", "not-repeated",
    ]

    @Test func unreadableFiles() throws {
        let missing = Self.directory.appending(path: "none-such.yaml").path
        for (path, fact) in [(missing, "No such file or directory"), (Self.directory.path, "directory … file")] {
            let errors = #expect(throws: SettingsErrors.self) {
                try RelaySettings.load(file: path, environment: [:])
            }
            #expect(errors?.mistakes.count == 1)
            let mistake = try #require(errors?.mistakes.first)
            #expect(mistake.place == .file(path, line: nil, column: nil) && mistake.name == nil)
            #expect(mistake.problem.reads("… \(fact) …"))
        }
    }

    @Test func oversizedSettingsFileIsRejected() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID()).yaml")
        try Data(repeating: 0x23, count: 256 << 10 + 1).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(file: file.path, environment: [:])
        }
        #expect(errors?.description.reads("\(file.path): … 256 KiB …") == true)
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
            #expect(errors?.description.reads("\(path): … pipe … device … SIGHUP … regular file …") == true)
        }
    }

    /// Deep nesting must not overflow the stack, neither in the parser nor in ``SettingsDocument``.
    @Test(arguments: ["[", "{ a: ", "- ", "listen: [[", "tls: {"])
    func deepNesting(opening: String) {
        #expect(mistakes(yaml: String(repeating: opening, count: 20_000)).count == 1)
    }

    @Test(arguments: ["\u{FEFF}database: /a\n", "database: /a\r\nhostname: a\r\n"])
    func byteOrderMarkAndCRLFAreAccepted(text: String) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID()).yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(try RelaySettings.load(file: file.path, environment: [:]).database == .sqlite("/a"))
    }

    @Test func environmentIsCheckedEvenIfTheFileIsMissing() {
        let errors = #expect(throws: SettingsErrors.self) {
            try RelaySettings.load(file: "/none/such", environment: ["HIVEKU_RELAY_LOG_LEVEL": "x"])
        }
        #expect(errors?.mistakes.count == 2)
    }
}
