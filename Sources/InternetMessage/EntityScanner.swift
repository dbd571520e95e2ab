#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Finds the entities of a message that have no parts of their own (RFC 2046 section 5.1), for display.
///
/// It also reads messages that ``PartScanner`` would refuse: messages that are cut off anywhere, that have parts
/// without a body, or that have multiparts whose boundary never comes. It reads the octets once. A line that begins
/// with two hyphens is compared with each open boundary.
struct EntityScanner {
    /// An entity without parts.
    struct Leaf {
        var content: EntityContent
        var body: Range<Int>
        /// Whether the entity is a multipart whose Content-Type names no boundary, or a multipart without a line with
        /// its boundary. Its body is then everything up to the next boundary of an outer multipart, or up to the end of
        /// the message.
        var isBrokenMultipart = false
    }

    /// A multipart whose end has not been reached.
    private struct Level {
        var content: EntityContent
        /// Two hyphens and the boundary.
        var delimiter: [UInt8]
        var isDigest: Bool
        var bodyStart: Int
        var hasParts = false
    }

    private enum DelimiterLine {
        case part, end
    }

    private let bytes: [UInt8]
    private let maximumDepth: Int
    /// The open multiparts, from the outermost to the innermost.
    private var levels: [Level] = []
    /// The entity whose body is being read. Nil between parts.
    private var leaf: Leaf?
    private var position = 0
    /// The header section of the message itself.
    private(set) var header = EntityHeader()
    /// Whether something was left out: the parts of a multipart that is nested too deeply, or something in a header.
    private(set) var isCutOff = false

    /// - Parameter maximumDepth: how many multiparts may be nested. A deeper multipart counts as an entity without
    ///   parts.
    init(_ bytes: [UInt8], maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    /// Reads the message.
    ///
    /// - Parameter take: is called with each entity without parts, in the order of the message.
    mutating func scan(_ take: (Leaf) -> Void) {
        header = beginEntity(isInDigest: false, take)
        while position < bytes.count {
            guard !levels.isEmpty else {
                position = bytes.count
                break
            }
            let line = nextLine()
            guard let (depth, kind) = delimiterLine(line) else { continue }
            switch kind {
            case .part:
                close(downTo: depth + 1, at: line.lowerBound, take)
                levels[depth].hasParts = true
                _ = beginEntity(isInDigest: levels[depth].isDigest, take)
            case .end: close(downTo: depth, at: line.lowerBound, take)
            }
        }
        close(downTo: 0, at: nil, take)
    }

    /// Returns the line at `position` without its LF or CRLF, and moves `position` to the next line. A CR alone does
    /// not end a line.
    private mutating func nextLine() -> Range<Int> {
        let start = position
        let lf = bytes.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, start < bytes.count,
                let found = memchr(base + start, CInt(UInt8.lf), bytes.count - start)
            else { return nil }
            return UnsafeRawPointer(found) - base
        }
        var end = lf ?? bytes.count
        position = lf.map { $0 + 1 } ?? bytes.count
        if end > start, bytes[end - 1] == .cr { end -= 1 }
        return start..<end
    }

    /// Reads a header section and opens the body that it announces. A boundary ends the header section too, because a
    /// part may have no body.
    private mutating func beginEntity(isInDigest: Bool, _ take: (Leaf) -> Void) -> EntityHeader {
        var header = EntityHeader()
        var end = position
        while position < bytes.count {
            let start = position
            let line = nextLine()
            end = position
            if line.isEmpty { break }
            guard delimiterLine(line) == nil, header.take(line, of: bytes) else {
                position = start
                end = start
                break
            }
        }
        let content = EntityContent(header, of: bytes, isInDigest: isInDigest)
        if header.isCutOff || content.isCutOff { isCutOff = true }
        if let delimiter = content.delimiter, levels.count < maximumDepth {
            levels.append(
                Level(
                    content: content, delimiter: delimiter, isDigest: content.type == "multipart/digest",
                    bodyStart: end))
        } else {
            if content.delimiter != nil { isCutOff = true }
            leaf = Leaf(
                content: content, body: end..<end,
                isBrokenMultipart: content.type.hasPrefix("multipart/") && content.delimiter == nil)
        }
        return header
    }

    /// Ends the open entity and the levels from `depth` on.
    ///
    /// - Parameter line: where the boundary that ends them begins. The line end before a boundary belongs to the
    ///   boundary. Nil if the end of the message ends them.
    private mutating func close(downTo depth: Int, at line: Int?, _ take: (Leaf) -> Void) {
        func body(from start: Int) -> Range<Int> {
            var end = max(start, line ?? bytes.count)
            if line != nil, end > start, bytes[end - 1] == .lf {
                end -= 1
                if end > start, bytes[end - 1] == .cr { end -= 1 }
            }
            return start..<end
        }
        if var leaf {
            self.leaf = nil
            leaf.body = body(from: leaf.body.lowerBound)
            take(leaf)
        }
        while levels.count > depth, let level = levels.popLast() {
            guard !level.hasParts else { continue }
            take(Leaf(content: level.content, body: body(from: level.bodyStart), isBrokenMultipart: true))
        }
    }

    /// If the line is a boundary of an open multipart, returns the index of that multipart in `levels`, and whether the
    /// boundary begins a part or ends the multipart. Otherwise returns nil. Boundaries of outer multiparts are checked
    /// before those of inner ones.
    private func delimiterLine(_ line: Range<Int>) -> (depth: Int, DelimiterLine)? {
        let hyphen = UInt8(ascii: "-")
        guard line.count > 2, bytes[line.lowerBound] == hyphen, bytes[line.lowerBound + 1] == hyphen else { return nil }
        for depth in levels.indices {
            let delimiter = levels[depth].delimiter
            guard line.count >= delimiter.count, bytes[line].starts(with: delimiter) else { continue }
            let rest = bytes[line].dropFirst(delimiter.count)
            if rest.allSatisfy(\.isBlank) { return (depth, .part) }
            guard rest.count >= 2, rest.prefix(2).allSatisfy({ $0 == hyphen }),
                rest.dropFirst(2).allSatisfy(\.isBlank)
            else { continue }
            return (depth, .end)
        }
        return nil
    }
}
