import RelayCore
import StrictJSON

/// The variables of a template by the parts of their names: `customer.name` is `name` within `customer`.
struct VariableTree: Sendable {
    struct Node: Sendable {
        /// The names below this node and the indices of their nodes, in the order in which they were found.
        var children: [(name: [UInt8], node: Int)] = []
        /// The index of the variable whose name ends at this node.
        var variable: Int?
    }

    /// The first node is the root.
    private var nodes = [Node()]
    let variables: [TemplateVariable]

    /// - Parameters:
    ///   - declared: the number of variables that the document declares. They are the first ones.
    ///   - mistakes: receives a mistake for each variable that would have to be a value and an object at the same time.
    init(_ variables: [TemplateVariable], declared: Int, _ mistakes: inout TemplateMistakes) {
        self.variables = variables
        for (index, variable) in variables.enumerated() {
            var node = 0
            var conflict: String?
            var path: [Substring] = []
            for part in variable.name.split(separator: ".", omittingEmptySubsequences: false) {
                // A name with more parts was reported already.
                guard path.count < TemplateVariable.mostParts else { break }
                if let other = nodes[node].variable { conflict = variables[other].name }
                path.append(part)
                let name = Array(part.utf8)
                if let child = child(name, of: node) {
                    node = child
                } else {
                    nodes.append(Node())
                    nodes[node].children.append((name, nodes.count - 1))
                    node = nodes.count - 1
                }
            }
            if !nodes[node].children.isEmpty { conflict = variable.name }
            if nodes[node].variable == nil { nodes[node].variable = index }
            guard let conflict else { continue }
            let place = JSONPointer.root.appending("variables")
            mistakes.add(
                "\"\(conflict)\" is a variable, so it can't contain other variables such as \"\(example(below: conflict, variable.name))\"; rename one of them.",
                at: index < declared ? place.appending(index).appending("name") : place)
        }
    }

    private func example(below name: String, _ last: String) -> String {
        last != name ? last : variables.first { $0.name.hasPrefix(name + ".") }?.name ?? last
    }

    private func child(_ name: [UInt8], of node: Int) -> Int? {
        nodes[node].children.first { $0.name == name }?.node
    }

    // MARK: Values

    /// Reads the values of the variables from an object that is nested like their names.
    ///
    /// - Parameters:
    ///   - object: the values. Null means that a value is left out.
    ///   - rules: the rules of each variable, by its index.
    ///   - limit: the largest number of mistakes that are reported.
    /// - Returns: a value for each variable, by its index.
    /// - Throws: ``TemplateMistakes`` with all missing, unknown and mistyped variables, and all values that break
    ///   rules. Pointers begin at the object.
    func values(
        in object: JSON?, rules: [ValueRules], limit: Int
    ) throws(TemplateMistakes) -> [ArraySlice<UInt8>] {
        var mistakes = TemplateMistakes(limit: limit)
        var values: [ArraySlice<UInt8>?] = Array(repeating: nil, count: variables.count)
        // A variable with a wrong value is not also reported as missing.
        var wasThere = Array(repeating: false, count: variables.count)
        if let object { read(object, 0, [], rules, &values, &wasThere, &mistakes) }
        for (index, variable) in variables.enumerated() where values[index] == nil && !wasThere[index] {
            if variable.isRequired {
                mistakes.add(
                    "The variable \"\(variable.name)\" is required: \(variable.type.phrase).",
                    at: JSONPointer(variable.name.split(separator: ".").map(String.init)))
            } else {
                values[index] = variable.defaultValue?.octets ?? []
            }
        }
        guard mistakes.all.isEmpty else { throw mistakes }
        return values.map { $0 ?? [] }
    }

    /// Reads the value at a node. The recursion is no deeper than the names have parts.
    private func read(
        _ value: JSON, _ node: Int, _ path: [String], _ rules: [ValueRules], _ values: inout [ArraySlice<UInt8>?],
        _ wasThere: inout [Bool], _ mistakes: inout TemplateMistakes
    ) {
        guard mistakes.hasRoom, value != .null else { return }
        if let index = nodes[node].variable {
            let variable = variables[index]
            wasThere[index] = true
            guard let read = TemplateValue(value, type: variable.type) else {
                let given = if case .string = value, variable.type == .date { "this string" } else { value.kind }
                return mistakes.add(
                    "The variable \"\(variable.name)\" must be \(variable.type.phrase), not \(given).",
                    at: JSONPointer(path))
            }
            let octets = read.octets
            if let fault = rules[index].fault(of: octets) {
                return mistakes.add("The variable \"\(variable.name)\" \(fault).", at: JSONPointer(path))
            }
            values[index] = octets
            return
        }
        guard case .object(let object) = value else {
            let what = path.isEmpty ? "\"variables\"" : "\"\(path.joined(separator: "."))\""
            mark(node, &wasThere)
            return mistakes.add("\(what) must be an object, not \(value.kind).", at: JSONPointer(path))
        }
        for member in object.members {
            guard mistakes.hasRoom else { return }
            // Null means that the value is left out. So null is allowed even under an unknown name.
            guard member.value != .null else { continue }
            if let child = nodes[node].children.first(where: { member.name.utf8.elementsEqual($0.name) }) {
                let name = String(decoding: child.name, as: UTF8.self)
                read(member.value, child.node, path + [name], rules, &values, &wasThere, &mistakes)
            } else {
                let place = member.name.utf8.count <= 256 ? path + [member.name.text] : path
                mistakes.add(unknown(member.name, in: node, path), at: JSONPointer(place))
            }
        }
    }

    /// Marks all variables below a node, because one mistake at the node is reported for all of them.
    private func mark(_ node: Int, _ wasThere: inout [Bool]) {
        if let index = nodes[node].variable { wasThere[index] = true }
        for child in nodes[node].children { mark(child.node, &wasThere) }
    }

    private func unknown(_ name: JSONString, in node: Int, _ path: [String]) -> String {
        let known = nodes[node].children.map { String(decoding: $0.name, as: UTF8.self) }
        let given = String(decoding: name.utf8.prefix(80), as: UTF8.self)
        // A name with full stops must be written as nested objects.
        if node == 0, variables.contains(where: { $0.name == given }) {
            return
                "The variable \(name.excerpt) must be nested: {\"\(given.split(separator: ".").joined(separator: "\": {\""))\": …\(String(repeating: "}", count: given.split(separator: ".").count))."
        }
        let sentence =
            "The template has no variable \((path.isEmpty ? name : JSONString((path + [given]).joined(separator: "."))).excerpt); "
        if let meant = Spelling.nearest(to: given, among: known) {
            return sentence + "did you mean \"\((path + [meant]).joined(separator: "."))\"?"
        }
        return sentence + "leave it out."
    }
}
