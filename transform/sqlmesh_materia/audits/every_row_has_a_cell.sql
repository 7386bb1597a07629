AUDIT (
  name every_row_has_a_cell,
  blocking FALSE
);

/* An attribute id that USDA did not have so far has no column here: give it one. Two rows for one cell would be
found as well. */
WITH counted AS (
  SELECT
    SUM(attribute_count) AS rows,
    COUNT(area_planted) + COUNT(area_harvested) + COUNT(catch_for_reduction) + COUNT(cows_in_milk) + COUNT(crush) + COUNT(beginning_stocks) + COUNT(sow_beginning_stocks) + COUNT(dairy_cow_beginning_stocks) + COUNT(beef_cow_beginning_stocks) + COUNT(production) + COUNT(arabica_production) + COUNT(beet_sugar_production) + COUNT(commercial_production) + COUNT(cows_milk_production) + COUNT(farm_sales_weight_production) + COUNT(filter_production) + COUNT(cane_sugar_production) + COUNT(noncommercial_production) + COUNT(non_filter_production) + COUNT(other_milk_production) + COUNT(robusta_production) + COUNT(rough_production) + COUNT(other_production) + COUNT(imports) + COUNT(bean_imports) + COUNT(intra_eu_imports) + COUNT(market_year_imports_from_us) + COUNT(raw_imports) + COUNT(us_leaf_imports) + COUNT(other_imports) + COUNT(refined_imports) + COUNT(roast_and_ground_imports) + COUNT(trade_year_imports) + COUNT(soluble_imports) + COUNT(trade_year_imports_from_us) + COUNT(total_supply) + COUNT(exports) + COUNT(raw_exports) + COUNT(bean_exports) + COUNT(intra_eu_exports) + COUNT(refined_exports) + COUNT(other_exports) + COUNT(roast_and_ground_exports) + COUNT(trade_year_exports) + COUNT(soluble_exports) + COUNT(total_slaughter) + COUNT(cow_slaughter) + COUNT(sow_slaughter) + COUNT(calf_slaughter) + COUNT(domestic_consumption) + COUNT(total_disappearance_126) + COUNT(dom_leaf_consumption) + COUNT(feed_consumption) + COUNT(fluid_consumption) + COUNT(for_processing) + COUNT(fresh_consumption_133) + COUNT(fresh_consumption_135) + COUNT(human_consumption) + COUNT(industrial_consumption) + COUNT(roast_and_ground_consumption) + COUNT(domestic_use) + COUNT(factory_consumption) + COUNT(food_consumption) + COUNT(loss) + COUNT(other_disappearance) + COUNT(other_use_losses) + COUNT(soluble_consumption) + COUNT(us_leaf_dom_cons) + COUNT(feed_use_consumption) + COUNT(feed_and_waste_consumption) + COUNT(other_foreign_cons) + COUNT(withdrawal_from_market) + COUNT(loss_and_residual) + COUNT(total_disappearance_173) + COUNT(total_use) + COUNT(total_utilization) + COUNT(ending_stocks) + COUNT(total_distribution) + COUNT(extraction_rate) + COUNT(milling_rate) + COUNT(seed_to_lint_ratio) + COUNT(yield) + COUNT(food_seed_and_industrial_consumption) + COUNT(soybean_meal_equivalent) + COUNT(stocks_to_use_percent) + COUNT(per_capita_consumption_change_percent) AS cells
  FROM @this_model
)
SELECT
  *
FROM counted
WHERE
  rows <> cells
