import HTTPTypes
import RelayCore

/// The parameters of a query, each of which may occur once.
enum QueryParameters {
    private static let maximumMistakes = 10

    /// Passes each parameter to `set`, which returns what is wrong with it: a sentence with its full stop. Returns all
    /// mistakes.
    static func problem(
        _ query: some StringProtocol, _ names: [String], _ set: (_ name: String, _ text: String) -> String?
    ) -> Problem? {
        guard let parameters = try? FormQuery.parameters(query) else {
            return problem(["A percent sign in the query must be followed by two hexadecimal digits of UTF-8."])
        }
        var mistakes: [String] = []
        var seen: Set<String> = []
        for (name, text) in parameters where mistakes.count < maximumMistakes {
            if !names.contains(name) {
                mistakes.append("A parameter is not known; the parameters are \(names.joined(separator: ", ")).")
            } else if !seen.insert(name).inserted {
                mistakes.append("A parameter is given twice; give each one once.")
            } else if let mistake = set(name, text) {
                mistakes.append(mistake)
            }
        }
        return mistakes.isEmpty ? nil : problem(mistakes)
    }

    private static func problem(_ mistakes: [String]) -> Problem {
        Problem(.refusal(.invalid), .unprocessableContent, mistakes.joined(separator: " "))
    }
}
