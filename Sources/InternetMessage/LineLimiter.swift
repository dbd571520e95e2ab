/// Passes octets on and keeps lines within 998 octets without CRLF (RFC 5322 section 2.1.1), for input in any chunking.
///
/// Folds as Postfix's SMTP client does: CRLF and a space after 998 octets, and so on; the space counts toward the line that it
/// begins. Only CRLF ends a line.
struct LineLimiter {
    static let limit = 998

    /// Octets of the current line that have been passed on, at most ``limit``.
    private var column = 0
    /// Whether the last octet passed on was a CR of this line.
    private var endsWithCR = false
    /// A CR behind a full line, held back: with LF it ends the line, without it is the first octet too many.
    private var holdsCR = false

    /// Appends to `output` what may be passed on. False: a line is too long, and `folding` is off; the limiter is spent then.
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
        // Octets from here to the index are checked, but not yet copied: whole chunks go in one copy.
        var runStart = index
        while index < count {
            // If a line end lies in this window, then the lines up to the last of them are within the limit, and only that
            // one has to be found: from behind, past the octets of one line instead of those of a dozen.
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
                // The chunk ends inside a line.
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

    /// Passes on what was held back. False as for ``append(_:folding:to:)``.
    mutating func finish(folding: Bool, to output: inout [UInt8]) -> Bool {
        guard holdsCR else { return true }
        holdsCR = false
        guard folding else { return false }
        output.append(contentsOf: [.cr, .lf, .space, .cr])
        return true
    }

    /// The index of the LF of the last CRLF in the window, which begins in the current line.
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
