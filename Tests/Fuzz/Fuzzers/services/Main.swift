import FuzzDriver
import HTTPProperties
import SESProperties
import SettingsProperties

@main
enum Main {
    static func main() { fuzz([.settings, .answer, .json, .request]) }
}
