import Diagnosis
import Foundation
import RelayCore
import Settings
import TestSupport
import Testing

@testable import hiveku_relay

@Suite struct ExposedFilesTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func file(_ name: String, mode: Int) throws -> String {
        let path = directory.file(name)
        try Data("x".utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    @Test func onlyWorldReadableFilesAreReported() throws {
        var settings = RelaySettings()
        settings.tls.privateKeys = [
            try file("open.pem", mode: 0o644), try file("group.pem", mode: 0o640), directory.file("missing.pem"),
        ]
        settings.ses.credentialsFile = try file("credentials", mode: 0o604)
        let findings = ExposedFiles.findings(settings)
        #expect(findings.map(\.subject) == [.certificate, .credentials])
        #expect(findings.allSatisfy { $0.outcome == .warning && $0.remedy?.hasPrefix("chmod o-rwx ") == true })
        #expect(findings.first?.found.contains("open.pem") == true)
    }

    @Test func noSecretsNoFindings() throws {
        #expect(ExposedFiles.findings(RelaySettings()).isEmpty)
        // Only a database's password makes the file of the settings a secret.
        #expect(ExposedFiles.ownFile(RelaySettings(), try file("relay.yaml", mode: 0o644), [:]).isEmpty)
    }
}
