import Foundation
import RelayCore
import TemplateFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A directory with a template's files.
struct TemplateDirectory {
    let path: String
    /// The name of a file that contains a whole template. Nil if the template is in `template.yaml` or `template.json`
    /// and the files beside it.
    private let wholeFile: String?

    init(_ path: String, wholeFile: String? = nil) {
        self.path = path
        self.wholeFile = wholeFile
    }

    private func file(_ name: String) -> String { path == "." ? name : (path as NSString).appendingPathComponent(name) }

    /// The path of the template's `template.yaml` or `template.json`, or of the file that contains all of it. Nil if
    /// the directory has none.
    ///
    /// - Throws: `CommandError` if the directory has both.
    func description() throws -> String? {
        if let wholeFile { return file(wholeFile) }
        let found = [TemplateFiles.yamlName, TemplateFiles.jsonName].map(file).filter(TemplateDirectory.isThere)
        guard found.count < 2 else {
            throw CommandError("\(printable(path)) contains both template.yaml and template.json; keep one of them")
        }
        return found.first
    }

    private static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The templates at a path: in the directory itself, in the directories in it, or in the file.
    ///
    /// - Throws: `CommandError` if there are none.
    static func all(at path: String) throws -> [TemplateDirectory] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw CommandError("there is no file or directory \(printable(path))")
        }
        guard isDirectory.boolValue else {
            let name = (path as NSString).lastPathComponent
            guard [".yaml", ".yml", ".json"].contains(where: name.hasSuffix) else {
                throw CommandError(
                    "\(printable(path)) is neither a YAML nor a JSON file; name template.yaml, a file such as order.json, or a directory"
                )
            }
            let directory = (path as NSString).deletingLastPathComponent
            let hasBodiesBeside = [TemplateFiles.yamlName, TemplateFiles.jsonName].contains(name)
            return [
                TemplateDirectory(directory.isEmpty ? "." : directory, wholeFile: hasBodiesBeside ? nil : name)
            ]
        }
        let own = TemplateDirectory(path)
        if try own.description() != nil { return [own] }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw CommandError("\(printable(path)) can't be read: \(String(cString: strerror(errno)))")
        }
        let found = try names.map { TemplateDirectory(own.file($0)) }.filter { try $0.description() != nil }
        guard !found.isEmpty else {
            throw CommandError(
                "neither \(printable(path)) nor a directory in it contains a template.yaml; 'hiveku-relay templates --help' shows an example"
            )
        }
        return found
    }

    // MARK: Reading

    /// Reads and checks the template.
    ///
    /// - Throws: ``FileMistakes`` with all mistakes of the template; `CommandError` for files that can't be read.
    func read() throws -> TemplateFiles {
        guard let description = try description() else {
            throw CommandError("\(printable(path)) contains neither template.yaml nor template.json")
        }
        func optional(_ name: String) throws -> TemplateFiles.File? {
            wholeFile == nil && TemplateDirectory.isThere(file(name)) ? try TemplateDirectory.read(file(name)) : nil
        }
        return try TemplateFiles(
            description: try TemplateDirectory.read(description), html: try optional(TemplateFiles.htmlName),
            text: try optional(TemplateFiles.textName))
    }

    private static func read(_ path: String) throws -> TemplateFiles.File {
        TemplateFiles.File(path: path, octets: try octets(of: path, atMost: TemplateFiles.longestFile))
    }

    /// Reads a whole file, or standard input if the path is `-`.
    ///
    /// - Parameter limit: in octets.
    /// - Throws: `CommandError` if the file can't be read or is longer than `limit`.
    static func octets(of path: String, atMost limit: Int) throws -> [UInt8] {
        let handle: FileHandle
        if path == "-" {
            handle = FileHandle.standardInput
        } else {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw CommandError("\(printable(path)) can't be read: \(String(cString: strerror(errno)))")
            }
            handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        }
        var octets: [UInt8] = []
        do {
            while octets.count <= limit, let piece = try handle.read(upToCount: 64 << 10), !piece.isEmpty {
                octets += piece
            }
        } catch {
            throw CommandError("\(printable(path)) can't be read")
        }
        guard octets.count <= limit else {
            throw CommandError("\(printable(path)) has more than \(grouped(limit)) octets; shorten it")
        }
        return octets
    }

    // MARK: Writing

    /// Writes a template's files.
    ///
    /// - Parameter replacing: whether existing files with other content are replaced, and files that the template does
    ///   not have are removed.
    /// - Throws: `CommandError` if such files exist and are not to be replaced, or if the files can't be written.
    func write(_ template: Template, replacing: Bool) throws {
        let wanted: [(name: String, text: String?)] = [
            (TemplateFiles.yamlName, TemplateFiles.description(of: template)), (TemplateFiles.jsonName, nil),
            (TemplateFiles.htmlName, template.content.html), (TemplateFiles.textName, template.content.text),
        ]
        let changed = try wanted.filter { name, text in
            let path = file(name)
            guard TemplateDirectory.isThere(path) else { return text != nil }
            let octets = try TemplateDirectory.octets(of: path, atMost: TemplateFiles.longestFile)
            return text.map { Array($0.utf8) } != octets
        }
        let inTheWay = changed.map { file($0.name) }.filter(TemplateDirectory.isThere)
        guard replacing || inTheWay.isEmpty else {
            throw CommandError(
                "\(inTheWay.map { printable($0) }.joined(separator: ", ")) \(inTheWay.count == 1 ? "is" : "are") already there and would change; add --replace to replace them"
            )
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (name, text) in changed {
                if let text {
                    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)), options: .atomic)
                } else {
                    try FileManager.default.removeItem(atPath: file(name))
                }
            }
        } catch {
            let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "the relay's user"
            throw CommandError(
                "\(printable(path)) can't be written by \(user); name a directory that this user may write to")
        }
    }
}
