import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Asks before an action that the user may regret.
enum Confirmation {
    /// Whether standard input and standard error are both terminals, so that a person can answer.
    static var isPossible: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Asks `question`. Returns true only for yes; any other answer is no.
    static func of(_ question: String) -> Bool {
        Output.writeError("\(question) [y/N] ")
        let answer = readLine()?.trimmingCharacters(in: .whitespaces).lowercased()
        return answer == "y" || answer == "yes"
    }
}
