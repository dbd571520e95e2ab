import Foundation
import FuzzSupport
import Testing

/// Checks the properties without libFuzzer: with the inputs that libFuzzer starts from, and with every input that it
/// has ever found. This takes seconds, so it runs at each change.
@Suite("Properties under fuzzing")
struct ReplayTests {
    static let properties: [Property] = [
        .data, .commands, .header, .from, .parts, .readable, .address, .compose, .sasl, .tls, .settings, .answer,
        .proxy, .json, .request, .template, .event, .dns,
    ]

    private static let fuzz = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    private static func files(_ folder: String, of name: String) throws -> [URL] {
        let directory = fuzz.appending(path: "\(folder)/\(name)")
        guard FileManager.default.fileExists(atPath: directory.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }
    }

    private static func replay(_ property: Property, _ files: [URL]) throws {
        for file in files {
            do {
                try property.check(Array(Data(contentsOf: file)))
            } catch {
                Issue.record("\(property.name)/\(file.lastPathComponent): \(error)")
            }
        }
    }

    @Test("Each property holds for its corpus", arguments: properties.map(\.name))
    func corpus(name: String) throws {
        let property = try #require(Self.properties.first { $0.name == name })
        let files = try Self.files("Corpus", of: name)
        #expect(files.count >= 5)
        try Self.replay(property, files)
    }

    @Test("Each property holds for the inputs that once broke it", arguments: properties.map(\.name))
    func failures(name: String) throws {
        let property = try #require(Self.properties.first { $0.name == name })
        try Self.replay(property, Self.files("Failures", of: name))
    }

    @Test("Each corpus belongs to a property")
    func strayFolders() throws {
        let names = Set(Self.properties.map(\.name))
        for folder in ["Corpus", "Failures"] {
            let found = try FileManager.default.contentsOfDirectory(atPath: Self.fuzz.appending(path: folder).path)
            #expect(Set(found.filter { !$0.hasPrefix(".") && $0 != "README.md" }).isSubset(of: names))
        }
    }
}
