import RelayCore
import Yams

/// A parsed settings file: the text of each setting with its place, and the mistakes in form and names.
///
/// It works on Yams' nodes, because they have line numbers. swift-configuration's YAML provider has no line numbers,
/// and does not report unknown names.
struct SettingsDocument {
    struct Written {
        var items: [String]
        /// The place of the name.
        var place: SettingsMistake.Place
        /// The place of each item of a list.
        var itemPlaces: [SettingsMistake.Place] = []

        func place(ofItem index: Int) -> SettingsMistake.Place {
            itemPlaces.indices.contains(index) ? itemPlaces[index] : place
        }
    }

    private(set) var values: [String: Written] = [:]
    private(set) var mistakes: [SettingsMistake] = []
    private let file: String
    private let namesInFile: YAMLText.RenamedKeys

    /// - Parameter file: the name of the file in error messages.
    init(_ text: String, file: String) {
        self.file = file
        do throws(SettingsMistake) {
            let document = try YAMLText.compose(text, file: file)
            namesInFile = document.renamedKeys
            guard let root = document.root, !isNull(root) else { return }
            guard case .mapping(let mapping) = root else {
                note(root.mark, nil, "must contain settings, each as \"name: value\"")
                return
            }
            read(mapping, section: nil)
        } catch {
            namesInFile = [:]
            mistakes.append(error)
        }
    }

    private mutating func read(_ mapping: Node.Mapping, section: String?) {
        var firstLines: [String: Int] = [:]
        for (keyNode, value) in mapping {
            guard case .scalar(let key) = keyNode else {
                note(keyNode.mark, section, "must contain settings, each as \"name: value\"")
                continue
            }
            let written = key.mark.flatMap { namesInFile[YAMLText.Position($0)] } ?? key.string
            let name = (section.map { $0 + "." } ?? "") + written
            let first = firstLines[name]
            firstLines[name] = first ?? key.mark?.line ?? 0
            if let first {
                note(key.mark, legible(name), "is already in line \(first); keep one of them")
            }
            if section == nil, RelaySettings.sections.contains(name) {
                readSection(name, value, key.mark)
            } else if !written.contains("."), let setting = RelaySettings.setting(named: name) {
                let problems = mistakes.count
                let found = read(value, of: setting, key.mark)
                if mistakes.count == problems, first == nil { values[name] = found }
            } else {
                note(key.mark, legible(name), unknownName(written, name, section))
            }
        }
    }

    private mutating func readSection(_ name: String, _ value: Node, _ mark: Mark?) {
        if case .mapping(let mapping) = value {
            read(mapping, section: name)
        } else if !isNull(value) {
            note(mark, name, "must be followed by its settings, indented below it, not by \(kind(of: value))")
        }
    }

    /// Reads the value's text and records its mistakes; nil if no value can be read. To find the mistakes, the setting
    /// parses the text into settings that are not used. The value is assigned later, when the environment has been read
    /// too.
    private mutating func read(_ value: Node, of setting: Setting, _ mark: Mark?) -> Written? {
        var written = Written(items: [], place: place(mark))
        switch value {
        case .scalar where isNull(value):
            guard setting.acceptsEmpty else {
                note(mark, setting.name, "must be \(setting.type), not empty; without the line the default applies")
                return nil
            }
            written.items = setting.isList ? [] : [""]
        case .scalar(let scalar):
            written.items = [scalar.string]
        case .sequence(let sequence) where setting.isList:
            for item in sequence {
                guard case .scalar(let scalar) = item, !isNull(item) else {
                    note(item.mark ?? mark, setting.name, "must be \(setting.type), without \(kind(of: item)) in it")
                    continue
                }
                written.items.append(scalar.string)
                written.itemPlaces.append(place(item.mark ?? mark))
            }
            guard written.items.count == sequence.count else { return nil }
        default:
            note(mark, setting.name, "must be \(setting.type), not \(kind(of: value))")
            return nil
        }
        var unused = RelaySettings()
        for problem in setting.assign(&unused, written.items) {
            mistakes.append(SettingsMistake(written.place(ofItem: problem.item), setting.name, problem.problem))
        }
        return written
    }

    private func unknownName(_ written: String, _ name: String, _ section: String?) -> String {
        if section == nil, let setting = RelaySettings.setting(named: written), let section = setting.section {
            return "must be written as \"\(setting.key):\", indented below \"\(section):\""
        }
        let all = RelaySettings.reference.map(\.name) + (section == nil ? RelaySettings.sections : [])
        if let near = Spelling.nearest(to: name, among: all) { return "is not a setting; did you mean \(near)?" }
        let keys = RelaySettings.reference.filter { $0.section == section }.map(\.key).joined(separator: ", ")
        if let section { return "is not a setting; those of \(section) are \(keys)" }
        let sections = RelaySettings.sections.joined(separator: ", ")
        return "is not a setting; the settings are \(keys) and the sections \(sections)"
    }

    private mutating func note(_ mark: Mark?, _ name: String?, _ problem: String) {
        mistakes.append(SettingsMistake(place(mark), name, problem))
    }

    private func place(_ mark: Mark?) -> SettingsMistake.Place {
        .file(file, line: mark?.line, column: mark?.column)
    }
}

/// Whether no value is written, in one of YAML's forms for that.
private func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node else { return false }
    return scalar.string.isEmpty || scalar.style == .plain && ["~", "null", "Null", "NULL"].contains(scalar.string)
}

private func kind(of node: Node) -> String {
    switch node {
    case .scalar(let scalar): isNull(node) ? "an empty item" : echo(scalar.string)
    case .sequence: "a list"
    case .mapping: "a group of settings"
    case .alias: "an alias"
    }
}
