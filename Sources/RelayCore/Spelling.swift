/// Guesses which name a misspelled one was meant to be.
package enum Spelling {
    /// The candidate that `name` is probably a misspelling of; nil if none is close enough. A name that only lacks its
    /// section, or is in the wrong section, counts as close.
    package static func nearest(to name: String, among candidates: [String]) -> String? {
        let name = String(name.lowercased().prefix(80))
        let key = lastPart(name)
        let ranked = candidates.map { candidate in
            (candidate, min(distance(name, candidate), distance(key, lastPart(candidate)) + 1))
        }
        guard let best = ranked.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(1, min(3, key.count / 3)) ? best.0 : nil
    }

    private static func lastPart(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }

    /// The least number of letters to insert, delete, change or swap with their neighbour to turn `a` into `b` (optimal
    /// string alignment).
    package static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.unicodeScalars), Array(b.unicodeScalars))
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
