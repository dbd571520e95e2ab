import RelayCore

/// Emails per day as bars. A chart is a single path, so that a page with many keys stays small.
enum BarChart {
    static let days = 30

    /// Emails of the last ``days`` days, ending today. Days without emails are 0.
    static func counts(_ use: [KeyDay], today: UTCDay) -> [Int] {
        var counts = [Int](repeating: 0, count: days)
        for day in use {
            let place = days - 1 - Int(today.number - day.day.number)
            if counts.indices.contains(place) { counts[place] = day.emails }
        }
        return counts
    }

    /// A small chart without axes. Its text alternative says what it shows.
    static func small(_ counts: [Int]) -> HTML {
        let most = counts.max() ?? 0
        guard most > 0 else { return "<span class=\"muted\">No email in 30 days</span>" }
        return """
            <svg class="bars" viewBox="0 0 \(10 * counts.count) 40" preserveAspectRatio="none" role="img" \
            aria-label="Emails a day in the last 30 days: \(grouped(counts.reduce(0, +))) in total, at most \(grouped(most)) on one day">\
            <path d="\(path(counts, most, height: 40))"/></svg>
            """
    }

    /// The same chart with an axis: its first and last date, and the largest number.
    static func large(_ counts: [Int], today: UTCDay) -> HTML {
        let most = max(1, counts.max() ?? 0)
        let first = UTCDay(number: today.number - Int64(counts.count - 1))
        return """
            <figure class="chart"><svg viewBox="0 0 \(10 * counts.count) 120" preserveAspectRatio="none" role="img" \
            aria-label="Emails a day in the last 30 days: \(grouped(counts.reduce(0, +))) in total, at most \(grouped(counts.max() ?? 0)) on one day">\
            <path class="base" d="M0 119.5h\(10 * counts.count)"/><path d="\(path(counts, most, height: 119))"/></svg>\
            <figcaption><span>\(date(first))</span><span>busiest day: \(grouped(counts.max() ?? 0))</span><span>\(date(today)), \
            today</span></figcaption></figure>
            """
    }

    static func date(_ day: UTCDay) -> String { String(day.start.rfc3339.prefix(10)) }

    /// The path of the bars. A day is 10 wide. Any number above 0 is visible.
    private static func path(_ counts: [Int], _ most: Int, height: Int) -> String {
        var path = ""
        for (place, count) in counts.enumerated() where count > 0 {
            let bar = max(2, count * height / most)
            path += "M\(10 * place + 1) \(height)v-\(bar)h8v\(bar)z"
        }
        return path
    }
}
