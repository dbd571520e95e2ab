import RelayCore
import StrictJSON

/// A mistake in the document of a request: what to change, and where.
struct ValidationError: Error, Hashable, Sendable {
    /// What a mistake is about. If all mistakes have one kind, it determines the reason word of the answer.
    enum Kind: Hashable, Sendable {
        /// The document breaks the schema.
        case invalid
        /// An address is wrong.
        case address
        /// There are too many recipients, or none.
        case recipients
        /// The values for a template do not fit its variables.
        case templateVariables
        /// The email made from a template is too large.
        case size

        var code: ProblemCode {
            switch self {
            case .invalid: .refusal(.invalid)
            case .address: .refusal(.address)
            case .recipients: .refusal(.recipients)
            case .templateVariables: .templateVariables
            case .size: .refusal(.size)
            }
        }
    }

    var kind: Kind
    /// What to change: a sentence with its final full stop or question mark.
    var detail: String
    /// The place of the value, or the place where it is missing.
    var pointer: JSONPointer

    init(_ detail: String, at pointer: JSONPointer, _ kind: Kind = .invalid) {
        self.kind = kind
        self.detail = detail
        self.pointer = pointer
    }
}

/// Why a request with a well-formed document is refused.
enum EmailRequestFailure: Error, Hashable, Sendable {
    /// The document breaks the schema. The value has all mistakes in the order in which they were found, at least one.
    /// Status 422, or 413 if all are of kind `size`.
    case invalid([ValidationError])
    /// The header and the document have different idempotency keys, or one is malformed. The value is a sentence with
    /// its full stop. Status 400.
    case idempotencyKey(String)

    /// The word for all mistakes together: their common kind, such as `address`, or `invalid` if they differ.
    var kind: ValidationError.Kind {
        guard case .invalid(let errors) = self, let first = errors.first?.kind else { return .invalid }
        return errors.allSatisfy { $0.kind == first } ? first : .invalid
    }
}

/// Collects the mistakes in a document, so that all are reported at once.
struct ValidationErrors {
    private(set) var all: [ValidationError] = []
    /// The largest number of mistakes that are reported, at least 1.
    private let limit: Int

    /// The largest number of mistakes that are reported for one document: it may have 100,000 values.
    static let limit = 100

    init(limit: Int = ValidationErrors.limit) { self.limit = max(1, limit) }

    /// - Parameter detail: not evaluated if no more mistakes are reported, because some sentences take long to make.
    mutating func add(
        _ detail: @autoclosure () -> String, at pointer: JSONPointer, _ kind: ValidationError.Kind = .invalid
    ) {
        guard all.count <= limit else { return }
        all.append(
            all.count < limit
                ? ValidationError(detail(), at: pointer, kind)
                : ValidationError("There are more mistakes than these \(limit).", at: .root))
    }

    /// Adds a mistake that a second check found, unless its place already has a mistake, which may be the cause.
    mutating func add(afterOthers error: ValidationError) {
        guard !all.contains(where: { $0.pointer == error.pointer }) else { return }
        add(error.detail, at: error.pointer, error.kind)
    }
}
