/// The difference between two texts, line by line.
public struct LineDiff: Sendable, Hashable {
    /// Which of the texts has a line: both, only the old one, or only the new one.
    public enum Kind: Sendable, Hashable {
        case same, removed, added
    }

    /// A line of one text or of both.
    public struct Line: Sendable, Hashable {
        /// Which of the texts has the line.
        public var kind: Kind
        /// The line without its line end.
        public var text: String

        init(_ kind: Kind, _ text: ArraySlice<UInt8>) {
            self.kind = kind
            self.text = String(decoding: text, as: UTF8.self)
        }
    }

    /// Consecutive lines: changed lines and some unchanged lines around them.
    public struct Hunk: Sendable, Hashable {
        /// The number of the first line in the old text, from 1 on.
        public var oldStart: Int
        /// The number of the first line in the new text, from 1 on.
        public var newStart: Int
        /// The lines of the hunk, in the order of `LineDiff.lines`.
        public var lines: [Line]
    }

    /// All lines of both texts. Where lines are replaced, the removed lines come before the added ones.
    public let lines: [Line]

    /// Compares two texts by octets. LF, CR and CRLF end a line. A nil text has no lines.
    public init(_ old: String?, _ new: String?) {
        let (old, new) = (LineDiff.lines(old), LineDiff.lines(new))
        // Octets are compared, because strings are equal in Swift if they differ only in the encoding of a character.
        var interned: [ArraySlice<UInt8>: Int32] = [:]
        func number(_ line: ArraySlice<UInt8>) -> Int32 {
            let next = Int32(interned.count)
            if let known = interned[line] { return known }
            interned[line] = next
            return next
        }
        let a = old.map(number)
        let b = new.map(number)
        // Two versions of a text usually differ in few lines. So the lines that are the same at the beginning and at
        // the end of both texts are not searched.
        var start = 0
        while start < min(a.count, b.count), a[start] == b[start] { start += 1 }
        var end = 0
        while end < min(a.count, b.count) - start, a[a.count - 1 - end] == b[b.count - 1 - end] { end += 1 }
        let middle = EditScript(a[start..<(a.count - end)], b[start..<(b.count - end)]).steps
        var lines = old[..<start].map { Line(.same, $0) }
        var (i, j) = (start, start)
        var added: [Line] = []
        for step in middle {
            switch step {
            case .remove:
                lines.append(Line(.removed, old[i]))
                i += 1
            case .add:
                added.append(Line(.added, new[j]))
                j += 1
            case .keep:
                lines += added
                added = []
                lines.append(Line(.same, old[i]))
                i += 1
                j += 1
            }
        }
        lines += added
        lines += old[(a.count - end)...].map { Line(.same, $0) }
        self.lines = lines
    }

    /// Whether both texts have the same lines.
    public var isEmpty: Bool { lines.allSatisfy { $0.kind == .same } }

    /// The changed lines with unchanged lines around them. Changes that are close together share a hunk.
    ///
    /// - Parameter context: the number of unchanged lines before and after a change.
    public func hunks(context: Int = 3) -> [Hunk] {
        var hunks: [Hunk] = []
        var shown = 0
        var (oldLine, newLine) = (1, 1)
        var counted = 0
        var index = 0
        while let change = lines[index...].firstIndex(where: { $0.kind != .same }) {
            var last = change
            var next = change + 1
            while next < lines.count, next - last <= 2 * context + 1 || lines[next].kind != .same {
                if lines[next].kind != .same { last = next }
                next += 1
                if next - last > 2 * context + 1 { break }
            }
            let first = max(shown, change - context)
            let behind = min(lines.count, last + 1 + context)
            while counted < first { count(lines[counted], &oldLine, &newLine, &counted) }
            hunks.append(Hunk(oldStart: oldLine, newStart: newLine, lines: Array(lines[first..<behind])))
            shown = behind
            index = behind
        }
        return hunks
    }

    private func count(_ line: Line, _ old: inout Int, _ new: inout Int, _ counted: inout Int) {
        if line.kind != .added { old += 1 }
        if line.kind != .removed { new += 1 }
        counted += 1
    }

    /// The lines of a text without their line ends.
    private static func lines(_ text: String?) -> [ArraySlice<UInt8>] {
        guard let text else { return [] }
        let octets = Array(text.utf8)
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        var index = 0
        while index < octets.count {
            let octet = octets[index]
            index += 1
            guard octet == 0x0A || octet == 0x0D else { continue }
            lines.append(octets[start..<(index - 1)])
            if octet == 0x0D, index < octets.count, octets[index] == 0x0A { index += 1 }
            start = index
        }
        if start < octets.count { lines.append(octets[start...]) }
        return lines
    }
}

/// The shortest list of steps that makes one sequence into another (Myers, "An O(ND) Difference Algorithm and Its
/// Variations", 1986). If the search exceeds its bounds, all old lines are removed and all new lines are added.
private struct EditScript {
    enum Step { case keep, remove, add }

    let steps: [Step]

    /// The largest number of removed and added lines together that the search tries. It then needs some 8 MB.
    private static let mostEdits = 1400
    /// The largest number of steps of the search. They take some ten milliseconds.
    private static let mostWork = 4_000_000

    init(_ a: ArraySlice<Int32>, _ b: ArraySlice<Int32>) {
        let (a, b) = (Array(a), Array(b))
        steps =
            EditScript.search(a, b)
            ?? Array(repeating: .remove, count: a.count) + Array(repeating: .add, count: b.count)
    }

    /// The steps, or nil if the search reaches its bounds.
    private static func search(_ a: [Int32], _ b: [Int32]) -> [Step]? {
        let longest = min(a.count + b.count, mostEdits)
        var work = 0
        // For each number of edits d: how far the path on each diagonal from -d to d has reached.
        var reached: [[Int32]] = []
        for d in 0...longest {
            var row = [Int32](repeating: 0, count: d + 1)
            for k in 0...d {
                let diagonal = 2 * k - d
                var x = 0
                if d > 0 {
                    let previous = reached[d - 1]
                    // The previous row has the diagonals -d+1, -d+3, …: the next higher one is at k, the next lower one
                    // at k - 1.
                    let down = k < d ? Int(previous[k]) : -1
                    let right = k > 0 ? Int(previous[k - 1]) + 1 : -1
                    x = max(down, right)
                }
                var y = x - diagonal
                while x < a.count, y < b.count, y >= 0, a[x] == b[y] {
                    x += 1
                    y += 1
                    work += 1
                }
                work += 1
                guard work <= mostWork else { return nil }
                row[k] = Int32(x)
                if x >= a.count, y >= b.count {
                    reached.append(row)
                    return path(reached, a.count, b.count)
                }
            }
            reached.append(row)
        }
        return nil
    }

    /// Reads the steps back from the end, and returns them in order.
    private static func path(_ reached: [[Int32]], _ m: Int, _ n: Int) -> [Step] {
        var steps: [Step] = []
        var (x, y) = (m, n)
        var d = reached.count - 1
        while d > 0 {
            let k = (x - y + d) / 2
            let previous = reached[d - 1]
            let down = k < d ? Int(previous[k]) : -1
            let right = k > 0 ? Int(previous[k - 1]) + 1 : -1
            let isRight = right > down
            let start = max(down, right)
            while x > start {
                steps.append(.keep)
                x -= 1
                y -= 1
            }
            if isRight {
                steps.append(.remove)
                x -= 1
            } else {
                steps.append(.add)
                y -= 1
            }
            d -= 1
        }
        steps += Array(repeating: .keep, count: x)
        return steps.reversed()
    }
}
