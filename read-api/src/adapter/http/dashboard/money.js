// Formats amounts, which are in the minor unit of their currency.

// The decimal places of ISO 4217, where they are not 2. Those of `Intl` are other ones: it formats IQD, which has 3,
// with none.
const DIGITS = new Map([
  ...["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"].map((code) => [code, 0]),
  ...["RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"].map((code) => [code, 0]),
  ...["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"].map((code) => [code, 3]),
  ...["CLF", "UYW"].map((code) => [code, 4]),
]);

const formats = new Map();

function formatOf(currency) {
  const digits = DIGITS.get(currency) ?? 2;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  if (currency) Object.assign(options, { style: "currency", currency });
  if (!formats.has(currency)) formats.set(currency, { digits, format: new Intl.NumberFormat(undefined, options) });
  return formats.get(currency);
}

// Formats through a decimal string: as a float, a total near 2^53 would lose its last digits. Without a currency it is
// a plain number with two decimal places.
export function money(amount, currency = null) {
  const { digits, format } = formatOf(currency);
  const text = BigInt(amount).toString().padStart(digits + 1, "0");
  const whole = text.length - digits;
  return format.format(digits ? `${text.slice(0, whole)}.${text.slice(whole)}` : text);
}

export const lineTotal = ({ quantity, price_cents }, currency) =>
  money(BigInt(quantity) * BigInt(price_cents), currency);
