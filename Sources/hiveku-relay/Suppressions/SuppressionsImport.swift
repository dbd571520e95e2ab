import ArgumentParser
import Foundation
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct SuppressionsImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Add the addresses in a CSV file to the list.",
        discussion: """
            The file has one address per line, or columns that its first line names: address (or email), environment, \
            reason, created_at, message, note. Other columns are ignored. Without such a line the columns are these, \
            in this order; the last ones may be left out. The output of 'hiveku-relay suppressions export' can be \
            imported as it is. An apostrophe in front of = + - or @ is removed, and a note is cut after \
            \(Suppression.longestNote) characters.

            The whole file is checked first. If one line is wrong, nothing is imported, and each mistake is printed \
            with its line number. An address that is already on the list stays, with the stronger of the two reasons: \
            a complaint before a hard bounce, and both before manual. If an import is interrupted, it can be repeated.
            """)

    @Argument(help: ArgumentHelp("The file, or - for standard input.", valueName: "file")) var file: String
    @Option(help: "For lines that name no environment: test or live.") var environment = RelayCore.Environment.live
    @Option(help: "For lines that name no reason: hard_bounce, complaint or manual.") var reason = SuppressionReason
        .manual
    @Flag(help: "Skip lines with mistakes, and import the others.") var skipInvalid = false
    @Flag(help: "Print what was done as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        // The file is opened before root's command becomes the relay's user, who may not be able to read it.
        let input = try ImportFile(file)
        defer { input.close() }
        let store = try common.store()
        let defaults = SuppressionFile.Defaults(
            environment: environment, reason: reason, createdAt: store.commandClock.now())
        let progress = ProgressLine()
        defer { progress.clear() }

        let check = try SuppressionCheck(input, defaults) { progress.show("checked: \(grouped($0)) addresses") }
        progress.clear()
        for mistake in check.told {
            printError("line \(mistake.line): \(mistake.explanation).")
        }
        if check.mistakes > check.told.count {
            printError("There are \(grouped(check.mistakes - check.told.count)) more mistakes.")
        }
        if check.mistakes > 0, !skipInvalid || check.isUnreadable {
            throw CommandError(
                check.isUnreadable
                    ? "the rest of the file can't be read, so nothing was imported"
                    : "nothing was imported: correct these lines, or give --skip-invalid to skip them")
        }
        if !check.passedOver.isEmpty {
            let names = check.passedOver.prefix(10).map { printable(String($0.prefix(40))) }
            printError("These columns were ignored: \(names.joined(separator: ", ")).")
        }
        let added = try await add(input, defaults, store, total: check.entries, progress)
        progress.clear()
        if json {
            return try JSONValue.object([
                "read": .integer(check.entries), "added": .integer(added),
                "already_listed": .integer(check.entries - added), "invalid": .integer(check.mistakes),
            ]).print()
        }
        printError(
            "Imported \(grouped(added)) \(added == 1 ? "address" : "addresses")."
                + (check.entries > added ? " \(grouped(check.entries - added)) were already on the list." : "")
                + (check.mistakes > 0
                    ? " \(grouped(check.mistakes)) \(check.mistakes == 1 ? "line was" : "lines were") skipped." : ""))
    }

    /// Adds the file's entries to the store. Returns how many of them are new.
    private func add(
        _ input: ImportFile, _ defaults: SuppressionFile.Defaults, _ store: any RelayStore, total: Int,
        _ progress: ProgressLine
    ) async throws -> Int {
        var reader = SuppressionFile(defaults) { canonicalAddress($0) }
        var waiting: [Suppression] = []
        var (done, added) = (0, 0)
        func take(_ line: SuppressionFile.Line) {
            if case .entry(let entry) = line { waiting.append(entry) }
        }
        try input.rewind()
        var isAtEnd = false
        while !isAtEnd {
            let piece = try input.piece()
            isAtEnd = piece.isEmpty
            if isAtEnd { reader.finish(take) } else { reader.read(piece[...], take) }
            while waiting.count >= Suppression.pageOfCommands || (isAtEnd && !waiting.isEmpty) {
                let batch = Array(waiting.prefix(Suppression.pageOfCommands))
                waiting.removeFirst(batch.count)
                do {
                    added += try await store.add(batch)
                } catch {
                    throw CommandError(
                        "\(error) (\(grouped(done)) of \(grouped(total)) addresses are imported; import the file again)"
                    )
                }
                done += batch.count
                progress.show("imported: \(grouped(done)) of \(grouped(total)) addresses")
            }
        }
        guard done == total else {
            throw CommandError(
                "the file has changed during the import: \(grouped(done)) addresses are imported; import the file again"
            )
        }
        return added
    }
}

/// The first pass over the file, which checks all of it.
private struct SuppressionCheck {
    /// The number of correct lines, and the number of wrong lines.
    private(set) var entries = 0
    private(set) var mistakes = 0
    /// The first mistakes, which are printed.
    private(set) var told: [SuppressionFile.Mistake] = []
    /// Whether a part of the file can't be read, so that its content is unknown.
    private(set) var isUnreadable = false
    let passedOver: [String]

    private static let mostTold = 100

    init(_ input: ImportFile, _ defaults: SuppressionFile.Defaults, progress: (Int) -> Void) throws {
        var reader = SuppressionFile(defaults) { canonicalAddress($0) }
        var (entries, mistakes, told, isUnreadable) = (0, 0, [SuppressionFile.Mistake](), false)
        func take(_ line: SuppressionFile.Line) {
            switch line {
            case .entry: entries += 1
            case .mistake(let mistake):
                mistakes += 1
                if told.count < SuppressionCheck.mostTold || mistake.endsReading { told.append(mistake) }
                if mistake.endsReading { isUnreadable = true }
            }
        }
        try input.rewind()
        while !isUnreadable {
            let piece = try input.piece()
            guard !piece.isEmpty else { break }
            reader.read(piece[...], take)
            progress(entries)
        }
        reader.finish(take)
        passedOver = reader.passedOver
        (self.entries, self.mistakes, self.told, self.isUnreadable) = (entries, mistakes, told, isUnreadable)
    }
}

/// A file that is read twice. Input from a pipe is first written to a temporary file without a name, so that it needs
/// no memory.
private struct ImportFile {
    private let handle: FileHandle

    private static let octetsOfPiece = 64 << 10
    /// The most octets that are read from a pipe.
    private static let longestStream = 1 << 30

    init(_ path: String) throws {
        let source: FileHandle
        if path == "-" {
            source = FileHandle.standardInput
        } else {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw CommandError("\(printable(path)) can't be read: \(String(cString: strerror(errno)))")
            }
            source = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        }
        var status = stat()
        guard fstat(source.fileDescriptor, &status) == 0 else { throw ImportFile.failure("the file can't be read") }
        switch status.st_mode & S_IFMT {
        case S_IFREG: handle = source
        case S_IFDIR: throw CommandError("\(printable(path)) is a directory; name a file")
        default: handle = try ImportFile.copy(of: source)
        }
    }

    private static func copy(of source: FileHandle) throws -> FileHandle {
        var template = Array((NSTemporaryDirectory() + "hiveku-relay-import-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw failure("the import's temporary file can't be created") }
        unlink(template)
        let copy = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var length = 0
        while let piece = try source.read(upToCount: octetsOfPiece), !piece.isEmpty {
            length += piece.count
            guard length <= longestStream else {
                throw CommandError("standard input is longer than 1 GiB; import it in parts, or from a file")
            }
            do {
                try copy.write(contentsOf: piece)
            } catch {
                throw failure("the temporary file of the import can't be written")
            }
        }
        return copy
    }

    private static func failure(_ what: String) -> CommandError {
        CommandError("\(what): \(String(cString: strerror(errno)))")
    }

    func rewind() throws {
        do { try handle.seek(toOffset: 0) } catch { throw ImportFile.failure("the file can't be read again") }
    }

    /// Returns the next piece; empty at the end.
    func piece() throws -> [UInt8] {
        do {
            return try handle.read(upToCount: ImportFile.octetsOfPiece).map { Array($0) } ?? []
        } catch {
            throw ImportFile.failure("the file can't be read")
        }
    }

    func close() { try? handle.close() }
}
