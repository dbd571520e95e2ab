/// Passes octets on and limits lines to 998 octets without CRLF (RFC 5322 section 2.1.1). The input may come in any
/// pieces.
///
/// It folds as Postfix's SMTP client does: it inserts CRLF and a space after each 998 octets. The space counts as part
/// of the line that it begins. Only CRLF ends a line.
struct LineLimiter {
    static let limit = 998

    /// How many octets of the current line have been passed on, at most ``limit``.
    private var column = 0
    /// Whether the last octet that was passed on is a CR of this line.
    private var endsWithCR = false
    /// Whether a CR after a full line is held back. If LF follows, the CR and the LF end the line. If another octet
    /// follows, the CR is the first octet over the limit.
    private var holdsCR = false

    /// Appends to `output` the octets that can be passed on already. Returns false when a line is too long and
    /// `folding` is off. The limiter can't be used any more after it returned false.
    mutating func append(_ bytes: UnsafeRawBufferPointer, folding: Bool, to output: inout [UInt8]) -> Bool {
        var index = 0
        if holdsCR, let first = bytes.first {
            holdsCR = false
            if first == .lf {
                output.append(contentsOf: [.cr, .lf])
                column = 0
                endsWithCR = false
                index = 1
            } else {
                guard folding else { return false }
                output.append(contentsOf: [.cr, .lf, .space, .cr])
                column = 2
                endsWithCR = true
            }
        }
        let count = bytes.count
        // The octets from here to `index` are checked but not copied yet, so that whole chunks are copied at once.
        var runStart = index
        while index < count {
            // If this window contains line ends, all lines up to the last line end are within the limit, so only the
            // last line end must be found. The search goes backwards, so it reads the octets of one line instead of
            // those of a dozen lines.
            let room = Self.limit - column
            let windowEnd = min(count, index + room + 2)
            if let lf = lastLineEnd(bytes, from: index, to: windowEnd) {
                index = lf + 1
                column = 0
                endsWithCR = false
                continue
            }
            let rest = windowEnd - index
            if rest <= room {
                // The chunk ends within a line.
                column += rest
                endsWithCR = bytes[count - 1] == .cr
                index = count
            } else if rest == room + 1, bytes[count - 1] == .cr {
                index = count - 1
                output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[runStart..<index]))
                column = Self.limit
                holdsCR = true
                return true
            } else {
                guard folding else { return false }
                index += room
                output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[runStart..<index]))
                output.append(contentsOf: [.cr, .lf, .space])
                runStart = index
                column = 1
                endsWithCR = false
            }
        }
        if runStart == 0 {
            output.append(contentsOf: bytes)
        } else {
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[runStart..<index]))
        }
        return true
    }

    /// Ends the input: passes on a CR that was held back. Returns false when the last line is too long and `folding` is
    /// off, as ``append(_:folding:to:)`` does.
    mutating func finish(folding: Bool, to output: inout [UInt8]) -> Bool {
        guard holdsCR else { return true }
        holdsCR = false
        guard folding else { return false }
        output.append(contentsOf: [.cr, .lf, .space, .cr])
        return true
    }

    /// The index of the LF of the last CRLF in the window. The window begins in the current line.
    private func lastLineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int? {
        var index = end
        while index > start {
            index -= 1
            if bytes[index] == .lf {
                if index > start ? bytes[index - 1] == .cr : endsWithCR { return index }
            }
        }
        return nil
    }
}
