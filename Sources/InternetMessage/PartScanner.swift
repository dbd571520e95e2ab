#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Checks the header fields of the parts of a multipart message (RFC 2046 section 5.1) while the message passes,
/// without keeping it.
///
/// Parts are found as SES's parser (JavaMail's `MimeMultipart`) finds them. Boundaries of an outer multipart are
/// checked before boundaries of an inner multipart. If no empty line ends the header of a part, SES's parser ignores
/// the part, so mistakes in that header do not count. A multipart without its first boundary is refused. An attached
/// message (message/rfc822) is not read, because nothing says that SES reads it, and because the client
/// may be unable to correct it: somebody else may have written it.
///
/// The scanner keeps in memory the boundaries of the open multiparts, the current field, and the current line if the
/// line begins with a hyphen or belongs to a part's header. All lines are already within the limit of ``LineLimiter``.
struct PartScanner {
    /// The largest number of nested multiparts. A message with more is refused.
    static let maximumDepth = 64
    /// The most octets of one Content field of a part. A longer field is refused.
    static let maximumFieldSize = 64 * 1024

    /// A multipart whose end has not been reached.
    private struct Level {
        /// Two hyphens and the boundary. If Content-Type has no parameter `boundary`, this is nil until the first line
        /// that looks like a boundary has come.
        var delimiter: [UInt8]?
        /// The number of the current part. 0 before the first part.
        var part = 0
    }

    /// The header section of a part.
    private struct Header {
        /// The current field, with its name and folds. Nil for a field that SES does not parse.
        var field: [UInt8]?
        var seen: [ContentField] = []
        /// The first mistake in a field. It counts only if the section ends with an empty line.
        var fault: MessageRejection?
        var multipart: Multipart?
        var isFirstLine = true
        /// Whether an empty line has come. It ends the header, unless the next line is a boundary of an outer
        /// multipart. Then SES's parser counts the CRLF of the empty line as part of that boundary, and ignores the
        /// part.
        var isEnded = false
    }

    private let fields: ContentFieldCheck
    /// The open multiparts, from the outermost to the innermost.
    private var levels: [Level]
    /// The current header section. Nil within a body.
    private var header: Header?
    /// The line that is being collected, without its CRLF.
    private var line: [UInt8] = []
    private var isCollecting = false
    private var isAtLineStart = true

    init(_ multipart: Multipart, fields: ContentFieldCheck) {
        self.fields = fields
        levels = [Level(delimiter: Self.delimiter(multipart))]
    }

    /// How many octets of the message are in memory.
    var heldOctets: Int {
        line.capacity + (header?.field?.capacity ?? 0) + levels.reduce(0) { $0 + ($1.delimiter?.capacity ?? 0) }
    }

    private static func delimiter(_ multipart: Multipart) -> [UInt8]? {
        multipart.boundary.map { [.hyphen, .hyphen] + $0 }
    }

    /// Takes the next octets of the body. Returns why the message is refused, or nil.
    mutating func consume(_ bytes: UnsafeRawBufferPointer) -> MessageRejection? {
        var index = 0
        while index < bytes.count, !levels.isEmpty {
            if !isCollecting {
                guard let start = lineToCollect(bytes, from: index) else { return nil }
                index = start
                isCollecting = true
            }
            guard let lf = Self.find(.lf, bytes, from: index) else {
                line.append(contentsOf: bytes[index...])
                return nil
            }
            line.append(contentsOf: bytes[index..<lf])
            index = lf + 1
            isAtLineStart = true
            if line.last == .cr { line.removeLast() }
            if let fault = endLine() { return fault }
            line.removeAll(keepingCapacity: true)
            isCollecting = header != nil
        }
        return nil
    }

    /// Ends the message. Returns why it is refused, or nil.
    mutating func finish() -> MessageRejection? {
        guard !levels.isEmpty else { return nil }
        if !line.isEmpty, header?.isEnded != false, let fault = endLine(isCut: true) { return fault }
        if header?.isEnded == true, let fault = endHeader() { return fault }
        return close(from: 0)
    }

    /// The index of the next line that begins with a hyphen. Nil when `bytes` has no such line. Nearly all octets of a
    /// message pass through here.
    private mutating func lineToCollect(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start
        if isAtLineStart, bytes[index] == .hyphen { return index }
        while index < bytes.count {
            guard let hyphen = Self.find(.hyphen, bytes, from: index) else {
                isAtLineStart = bytes[bytes.count - 1] == .lf
                return nil
            }
            if hyphen > start, bytes[hyphen - 1] == .lf { return hyphen }
            // In each line, at most one hyphen is looked at.
            guard let lf = Self.find(.lf, bytes, from: hyphen) else {
                isAtLineStart = false
                return nil
            }
            index = lf + 1
            if index < bytes.count, bytes[index] == .hyphen { return index }
        }
        isAtLineStart = true
        return nil
    }

    private static func find(_ byte: UInt8, _ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = bytes.baseAddress, start < bytes.count,
            let found = memchr(base + start, CInt(byte), bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// Processes the line that was collected. `isCut`: it is the last line of the message and has no line end. Returns
    /// why the message is refused, or nil.
    private mutating func endLine(isCut: Bool = false) -> MessageRejection? {
        // Within a part's header, only the boundaries of the outer multiparts are checked. SES's parser reads a
        // boundary of the innermost multipart as a header field here.
        let watched = header == nil ? levels.count : levels.count - 1
        // A delimiter begins with two hyphens.
        if line.count >= 2, line[0] == .hyphen, line[1] == .hyphen {
            for depth in 0..<watched {
                switch delimiterLine(at: depth, isCut: isCut) {
                case .none: continue
                case .part:
                    if let fault = close(from: depth + 1) { return fault }
                    levels[depth].part += 1
                    header = Header()
                    return nil
                case .end:
                    // The lines after this boundary belong to the outer multipart.
                    if levels[depth].part > 0 {
                        let fault = close(from: depth + 1)
                        levels.removeSubrange(depth...)
                        header = nil
                        return fault
                    }
                    return missingBoundary(at: depth)
                }
            }
        }
        switch header?.isEnded {
        case nil: return nil
        case true?: return endHeader() ?? endLine(isCut: isCut)
        case false?:
            endHeaderLine()
            return nil
        }
    }

    private enum DelimiterLine {
        case none, part, end
    }

    private mutating func delimiterLine(at depth: Int, isCut: Bool) -> DelimiterLine {
        let isFirst = levels[depth].part == 0
        guard let delimiter = levels[depth].delimiter else {
            let text = Self.withoutBlanksAtEnd(line[...])
            guard text.count > 2, text.starts(with: [.hyphen, .hyphen]),
                text.count <= 4 || !text.allSatisfy({ $0 == .hyphen })
            else { return .none }
            levels[depth].delimiter = Array(text)
            return .part
        }
        guard line.count >= delimiter.count, line.starts(with: delimiter) else { return .none }
        let rest = line[delimiter.count...]
        if isFirst {
            let text = Self.withoutBlanksAtEnd(line[...])
            if text.count == delimiter.count { return .part }
            return text.count == delimiter.count + 2 && text.suffix(2).elementsEqual([.hyphen, .hyphen]) ? .end : .none
        }
        // Anything may follow the two hyphens.
        if rest.starts(with: [.hyphen, .hyphen]) { return .end }
        return !isCut && rest.allSatisfy(\.isBlank) ? .part : .none
    }

    private static func withoutBlanksAtEnd(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        text[..<(text.lastIndex { !$0.isBlank }.map { $0 + 1 } ?? text.startIndex)]
    }

    /// Closes the levels from `depth` on. If the first boundary of one of them never came, returns why the message is
    /// refused; otherwise nil.
    private mutating func close(from depth: Int) -> MessageRejection? {
        header = nil
        for index in levels.indices[depth...] where levels[index].part == 0 { return missingBoundary(at: index) }
        levels.removeSubrange(depth...)
        return nil
    }

    private func missingBoundary(at depth: Int) -> MessageRejection {
        let boundary = levels[depth].delimiter.map { "\"\(Excerpt.of($0))\"" } ?? "that begins with --"
        return .mime(
            "\(depth == 0 ? "The message" : "Part \(number(of: levels[..<depth]))") is a multipart without a first line "
                + "\(boundary); each part must come after such a line")
    }

    private func number(of levels: ArraySlice<Level>) -> String {
        levels.map { "\($0.part)" }.joined(separator: ".")
    }

    /// Ends the header section; the body of the part follows. Returns why the message is refused, or nil.
    private mutating func endHeader() -> MessageRejection? {
        guard let header else { return nil }
        self.header = nil
        return header.fault ?? header.multipart.flatMap { open($0) }
    }

    private mutating func endHeaderLine() {
        guard var header else { return }
        // The property is set to nil here, so that the field is not in memory twice while it grows.
        self.header = nil
        defer { self.header = header }
        guard !line.isEmpty else {
            check(&header)
            header.isEnded = true
            return
        }
        if !header.isFirstLine, line.first?.isBlank == true {
            header.field?.append(contentsOf: [.cr, .lf])
            header.field?.append(contentsOf: line)
        } else {
            check(&header)
            beginField(&header)
        }
        header.isFirstLine = false
        if let count = header.field?.count, count > Self.maximumFieldSize {
            header.field = nil
            header.fault =
                header.fault
                ?? .mime(
                    "A Content field of part \(number(of: levels[...])) is longer than \(Self.maximumFieldSize) octets")
        }
    }

    private func beginField(_ header: inout Header) {
        let text = FieldText.trimmed(line[...])
        // The colon may come after a fold, or not at all.
        let name = text[..<(text.firstIndex(of: .colon) ?? text.endIndex)]
        if ContentField(name: FieldText.trimmed(name)) != nil { header.field = Array(text) }
    }

    /// Checks the field that has ended.
    private func check(_ header: inout Header) {
        guard let field = header.field else { return }
        header.field = nil
        let colon = field.firstIndex(of: .colon)
        // If a field has no colon, SES's parser takes its whole text both as the name and as the body.
        let body = field[(colon.map { $0 + 1 } ?? 0)...]
        guard let kind = ContentField(name: FieldText.trimmed(field[..<(colon ?? field.endIndex)])),
            header.fault == nil,
            // The first field of each kind counts.
            !header.seen.contains(kind)
        else { return }
        header.seen.append(kind)
        do throws(MessageRejection) {
            if let multipart = try fields.check(kind, body, part: number(of: levels[...])) {
                header.multipart = multipart
            }
        } catch {
            header.fault = error
        }
    }

    private mutating func open(_ multipart: Multipart) -> MessageRejection? {
        guard levels.count < Self.maximumDepth else {
            return .mime("The message has more than \(Self.maximumDepth) nested multiparts")
        }
        levels.append(Level(delimiter: Self.delimiter(multipart)))
        return nil
    }
}

extension UInt8 {
    fileprivate static let hyphen = UInt8(ascii: "-")
}
