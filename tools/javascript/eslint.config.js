import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import ts from "typescript-eslint";

// What turns text into markup or code: names from a study may hold anything.
const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "write"];

export default defineConfig(
  {
    linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" },
  },
  {
    files: ["tools/**/*.js"],
    extends: [js.configs.recommended],
  },
  {
    files: ["src/**/*.js"],
    extends: [js.configs.recommended, ts.configs.strictTypeChecked, ts.configs.stylisticTypeChecked],
    languageOptions: {
      sourceType: "script",
      parserOptions: { project: "tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "curly": ["error", "multi-line"],
      "eqeqeq": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": ["error", ...MARKUP.map((property) => ({ property }))],
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
      "strict": ["error", "global"],
      // The type check knows the browser's names, and says which are unknown.
      "no-undef": "off",
      // The numbers in texts are sizes and counts; floats go through number().
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `() => act()` is how an event is answered in one line.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
);
